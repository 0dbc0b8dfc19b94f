// Package openapi holds the contracts: hand-written OpenAPI 3.0 documents, from which the server
// interfaces in generated/ are made and by which requests and replies are checked.
package openapi

import "embed"

//go:generate go tool oapi-codegen -config accosa.cfg.yaml accosa.yaml
//go:generate go tool oapi-codegen -config common.cfg.yaml common.yaml
//go:generate go tool oapi-codegen -config creditplus.cfg.yaml creditplus.yaml
//go:generate go tool oapi-codegen -config events.cfg.yaml events.yaml
//go:generate go tool oapi-codegen -config hashdt.cfg.yaml hashdt.yaml
//go:generate go tool oapi-codegen -config hosted.cfg.yaml hosted.yaml
//go:generate go tool oapi-codegen -config issuer.cfg.yaml issuer.yaml
//go:generate go tool oapi-codegen -config networkintl.cfg.yaml networkintl.yaml
//go:generate go tool oapi-codegen -config sandbox.cfg.yaml sandbox.yaml
//go:generate go tool oapi-codegen -config thredd.cfg.yaml thredd.yaml

// Documents are the contracts, one file each, under workflows/ what is done with several of them (Arazzo 1.0), and
// under seed/ what stands in the file that a sandbox is seeded with.
//
//go:embed *.yaml workflows/*.yaml seed/*.yaml
var Documents embed.FS
