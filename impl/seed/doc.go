// Package seed reads the file of 'pinvault sandbox --seed': programs, keys, clients and cards that a sandbox holds from
// its start and again after each reset, besides the fixtures or in their place.
//
// It knows YAML and its lines, and the schema of the file, which is put together from two documents: what the issuer
// API's requests have is said in openapi/issuer.yaml, and what they have not, ids, secrets and PINs, in
// openapi/seed/seed.yaml. What a program, client or card is, is the issuer package's and the vault's to say. It runs in
// sandboxes alone, whose PINs and secrets are public.
package seed
