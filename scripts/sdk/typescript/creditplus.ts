// What Credit+ V2 needs beyond the generated client: a request is sealed on its way out. Replies are clear.
import { compactDecrypt, CompactEncrypt, type CompactJWEHeaderParameters } from 'jose';

/** A message key of a Credit+ client: 32 bytes, and the id that both sides know it by. */
export class MessageKey {
  readonly #key: Uint8Array;

  constructor(hex: string, readonly id: string) {
    this.#key = Buffer.from(hex, 'hex');
  }

  /**
   * A JWE in compact serialization, `dir` and `A256GCM` (RFC 7516). The header and the IV are given by
   * tests alone: an IV that is used twice under a key gives the key's messages away.
   */
  async seal(
    clear: string,
    header: CompactJWEHeaderParameters = { alg: 'dir', enc: 'A256GCM', kid: this.id },
    iv?: Uint8Array,
  ): Promise<string> {
    const jwe = new CompactEncrypt(new TextEncoder().encode(clear)).setProtectedHeader(header);
    if (iv) jwe.setInitializationVector(iv);
    return jwe.encrypt(this.#key);
  }

  /** The text of a JWE under this key and its id. Rejects where it is anything else. */
  async open(sealed: string): Promise<string> {
    const { plaintext, protectedHeader } = await compactDecrypt(sealed, this.#key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    if (protectedHeader.kid !== this.id) throw new Error('a JWE under another key');
    if (protectedHeader.zip !== undefined) throw new Error('a compressed JWE');
    return new TextDecoder('utf-8', { fatal: true }).decode(plaintext);
  }
}

/** The `fetch` of a Credit+ client: seals the JSON of every V2 request. V1 has no encryption. */
export function sealedFetch(key: MessageKey, next: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    if (!new URL(request.url).pathname.startsWith('/deviceapi/apis/v2/')) return next(request);
    const sealed = new Request(request, { body: await key.seal(await request.text()) });
    sealed.headers.set('Content-Type', 'application/jose');
    return next(sealed);
  };
}
