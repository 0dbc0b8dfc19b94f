// What sits beneath a generated client: it authorizes, seals and opens, repeats what may be repeated, and throws what is
// an error.
import { randomUUID } from 'node:crypto';
import pRetry from 'p-retry';
import type { ApiError } from './errors.js';
import { type Envelope, parsed } from './sealing.js';

/** A call that may be repeated: where it bears a header, with a value where one is named. */
export type Repeat = { method: string; path: RegExp; header: string; value: string };

/** What a transport has to know of a contract. */
export type Contract = {
  error: new (status: number, code: string, text: string, advice: string, body: unknown, retryAfter?: number) => ApiError;
  codeAt: string[];
  textAt: string[];
  advice: Record<string, string>;
  repeats: Repeat[];
};

/** Sets the headers by which the server knows who is calling. */
export type Authorize = (headers: Headers) => Promise<void>;

export type Options = {
  /** Sends, instead of the global `fetch`: for proxies, time-outs and certificates of your own. */
  fetch?: typeof fetch;
};

const BUSY = [429, 502, 503, 504];
/** For how many milliseconds a call waits by itself before it is repeated. Where a reply asks for more, it is the result. */
const LONGEST = 10_000;

export function transport(
  contract: Contract, authorize: Authorize, envelope: Envelope | undefined, { fetch: send = fetch }: Options,
): typeof fetch {
  return async (input, init) => {
    const request = await sealed(new Request(input, init), envelope);
    await authorize(request.headers);
    // Beneath the sealing: what is repeated is the same message to the byte.
    const reply = await (mayRepeat(contract, request) ? again(request, send) : send(request));
    const text = await reply.clone().text();
    const opened = envelope ? envelope.unwrap(text) : text;
    raise(contract, reply, opened);
    if (opened === text) return reply;
    return new Response(opened, { status: reply.status, headers: { 'Content-Type': 'application/json' } });
  };
}

/** The request as it goes out. Its JSON alone is sealed: the call for a token is a form. */
async function sealed(request: Request, envelope: Envelope | undefined): Promise<Request> {
  if (!envelope || !request.headers.get('Content-Type')?.startsWith('application/json')) return request;
  const { mediaType, body } = await envelope.wrap(new URL(request.url).pathname, await request.text());
  const out = new Request(request, { body });
  out.headers.set('Content-Type', mediaType);
  return out;
}

/** Whether the contract lets a request be repeated. One that lacks its idempotency key is given one. */
function mayRepeat(contract: Contract, { method, url, headers }: Request): boolean {
  const repeat = contract.repeats.find((r) => r.method === method && r.path.test(new URL(url).pathname));
  if (!repeat) return false;
  if (repeat.value) return headers.get(repeat.header) === repeat.value;
  if (repeat.header && !headers.has(repeat.header)) headers.set(repeat.header, randomUUID());
  return true;
}

/** A reply that asks to be called again. */
class Busy extends Error {
  /** For how many milliseconds. */
  readonly after: number;

  constructor(readonly reply: Response) {
    super(`status ${reply.status}`);
    this.after = (retryAfter(reply) ?? 0) * 1000;
  }
}

/** After how many seconds a reply says that one may try again; undefined for a date too, which only other servers name. */
function retryAfter({ headers }: Response): number | undefined {
  const after = headers.get('Retry-After') ?? '';
  return /^[0-9]+$/.test(after) ? Number(after) : undefined;
}

async function again(request: Request, send: typeof fetch): Promise<Response> {
  try {
    return await pRetry(
      async () => {
        const reply = await send(request.clone());
        if (BUSY.includes(reply.status)) throw new Busy(reply);
        return reply;
      },
      {
        retries: 3,
        minTimeout: 250,
        maxTimeout: LONGEST,
        randomize: true,
        shouldRetry: (e) => (e instanceof Busy ? e.after <= LONGEST : e instanceof TypeError), // and not one that was aborted
        onFailedAttempt: async (e) => {
          const after = e instanceof Busy ? e.after : 0;
          if (after > 0 && after <= LONGEST && e.retriesLeft > 0) await new Promise((f) => setTimeout(f, after));
        },
      },
    );
  } catch (e) {
    if (e instanceof Busy) return e.reply;
    throw e;
  }
}

/** Throws what a reply is the error of, if it is one. */
function raise(contract: Contract, reply: Response, text: string): void {
  const { status } = reply;
  const body = parsed(text);
  const found = at(body, contract.codeAt);
  if (status < 400 && !(found in contract.advice)) return;
  const code = found || String(status);
  throw new contract.error(
    status, code, at(body, contract.textAt), contract.advice[code] ?? contract.advice[status] ?? '', body, retryAfter(reply),
  );
}

/** The first text or number that one of the JSON pointers leads to, empty where there is none. */
function at(body: any, pointers: string[]): string {
  for (const pointer of pointers) {
    const found = pointer.split('/').slice(1).reduce((value, step) => value?.[step], body);
    if ((typeof found === 'string' && found) || typeof found === 'number') return String(found);
  }
  return '';
}

/** The bearer token of a client (RFC 6749, 4.4), a fresh one a little before the last one is over. */
export function clientCredentials(contract: Contract, url: string, id: string, secret: string, options: Options): Authorize {
  const early = 30_000;
  let token: Promise<string> | undefined;
  let until = 0;
  const send = transport(contract, async () => {}, undefined, options);
  const issue = async () => {
    const asked = Date.now();
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret });
    const issued = (await (await send(url, { method: 'POST', body })).json()) as { access_token: string; expires_in: number };
    until = asked + issued.expires_in * 1000 - early;
    return issued.access_token;
  };
  return async (headers) => {
    if (Date.now() >= until) {
      until = Infinity; // the others wait for the same token
      token = issue().catch((e) => {
        until = 0;
        throw e;
      });
    }
    headers.set('Authorization', `Bearer ${await token}`);
  };
}

/** A key in a header. */
export function apiKey(header: string, key: string): Authorize {
  return async (headers) => headers.set(header, key);
}
