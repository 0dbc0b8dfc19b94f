// What Accosa needs beyond the generated client: request and reply travel as {"token": "…"}.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** The key of an Accosa client, 24 bytes. */
export class TokenKey {
  readonly #key: Buffer;

  constructor(hex: string) {
    this.#key = Buffer.from(hex, 'hex');
  }

  /** Base64 of the IV and the ciphertext, AES-192-CBC with PKCS#7 padding. */
  seal(clear: string, iv: Uint8Array = randomBytes(16)): string {
    const cipher = createCipheriv('aes-192-cbc', this.#key, iv);
    return Buffer.concat([iv, cipher.update(clear), cipher.final()]).toString('base64');
  }

  /** The text of a token. Throws where it is not one under this key. */
  open(token: string): string {
    const raw = Buffer.from(token, 'base64');
    if (raw.toString('base64') !== token) throw new Error('a token that is not base64'); // Buffer takes nearly all
    const decipher = createDecipheriv('aes-192-cbc', this.#key, raw.subarray(0, 16));
    const clear = Buffer.concat([decipher.update(raw.subarray(16)), decipher.final()]);
    return new TextDecoder('utf-8', { fatal: true }).decode(clear);
  }
}

/** The `fetch` of an Accosa client: seals every request's JSON, opens every reply's. A reply in clear passes. */
export function tokenFetch(key: TokenKey, next: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const token = key.seal(await request.text());
    const reply = await next(new Request(request, { body: JSON.stringify({ token }) }));
    const sealed = await reply.clone().json().catch(() => undefined);
    if (typeof sealed?.token !== 'string') return reply;
    const headers = new Headers(reply.headers);
    headers.delete('Content-Length');
    return new Response(key.open(sealed.token), { status: reply.status, statusText: reply.statusText, headers });
  };
}
