// How messages are sealed and opened where a contract encrypts them.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { compactDecrypt, CompactEncrypt, type CompactJWEHeaderParameters } from 'jose';

/** What a contract puts around its JSON. */
export interface Envelope {
  /** The media type and the body of a request to a path. */
  wrap(path: string, clear: string): Promise<{ mediaType: string; body: string }>;
  /** The JSON of a reply. */
  unwrap(body: string): string;
}

/** A message key of a Credit+ client: 32 bytes, and the id that both sides know it by. */
export class MessageKey implements Envelope {
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

  /** A V2 request travels as a JWE. V1 knows no encryption. */
  async wrap(path: string, clear: string): Promise<{ mediaType: string; body: string }> {
    if (!path.includes('/apis/v2/')) return { mediaType: 'application/json', body: clear };
    return { mediaType: 'application/jose', body: await this.seal(clear) };
  }

  /** Replies are in the clear. */
  unwrap(body: string): string {
    return body;
  }
}

/** The key of an Accosa client, 24 bytes. */
export class TokenKey implements Envelope {
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

  /** Every request travels as `{"token": "…"}`. */
  async wrap(_path: string, clear: string): Promise<{ mediaType: string; body: string }> {
    return { mediaType: 'application/json', body: JSON.stringify({ token: this.seal(clear) }) };
  }

  /** So do replies, but for errors that came before the request's token was opened. */
  unwrap(body: string): string {
    const token = parsed(body)?.token;
    return typeof token === 'string' ? this.open(token) : body;
  }
}

/** The JSON of a text, undefined for a text that is none. */
export function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
