/**
 * A sandbox for tests: a server, and a space of it for each test, which no other test sees.
 *
 *     await using sandbox = await Sandbox.start();
 *     await using space = await sandbox.space();
 *     const client = await space.thredd();
 *
 * `test.extend(fixtures)` gives every test of Vitest or Playwright a `space`.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import * as accosa from './accosa.js';
import * as common from './common.js';
import * as creditplus from './creditplus.js';
import * as hashdt from './hashdt.js';
import * as hosted from './hosted.js';
import * as issuer from './issuer.js';
import * as networkintl from './networkintl.js';
import * as contract from './sandbox.js';
import { MessageKey, TokenKey } from './sealing.js';
import * as thredd from './thredd.js';

export interface SandboxOptions {
  /** Of a sandbox that runs. Unless given, `PINVAULT_URL`; without either, `pinvault sandbox` is started. */
  url?: string | undefined;
  /** The pinvault to start. Unless given, `PINVAULT`, or the one on the `PATH`. */
  program?: string | undefined;
  /** A YAML file with what a started sandbox holds besides the fixtures. */
  seed?: string | undefined;
}

type Program = ChildProcessByStdio<Writable, Readable, Readable>;

/** A sandbox server: one that runs, or one that was started and ends with this process. */
export class Sandbox {
  readonly #program: Program | undefined;

  private constructor(readonly url: string, program?: Program) {
    this.#program = program;
  }

  static async start(options: SandboxOptions = {}): Promise<Sandbox> {
    const url = options.url ?? (options.program || options.seed ? undefined : process.env.PINVAULT_URL);
    if (url) return new Sandbox(url.replace(/\/+$/, ''));
    const program = spawn(
      options.program ?? process.env.PINVAULT ?? 'pinvault',
      ['sandbox', '--port', '0', '--until-stdin-closes', '--database-url=', '--log-level', 'WARN', ...(options.seed ? ['--seed', options.seed] : [])],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const line = await firstLine(program);
    // What keeps the server alive is that this process has its standard input open, and no more than that.
    program.unref();
    for (const stream of [program.stdin, program.stdout, program.stderr]) (stream as unknown as { unref(): void }).unref();
    return new Sandbox((JSON.parse(line) as { url: string }).url, program);
  }

  /** A space of its own, from the fixtures or a snapshot. */
  async space(from: { id?: string; snapshot?: string } = {}): Promise<Space> {
    const made = await contract.createSpace({ client: contract.connect(this.url), body: from });
    return new Space(this, made.id);
  }

  /** Ends the server, if it was started here. */
  async close(): Promise<void> {
    const program = this.#program;
    if (!program || program.exitCode !== null) return;
    const ended = new Promise((resolve) => program.once('exit', resolve));
    program.ref();
    program.stdin.end();
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What a started server says first. */
function firstLine(program: Program): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    let log = '';
    const late = setTimeout(() => program.kill(), 60_000);
    program.once('error', (e) => {
      clearTimeout(late);
      reject(new Error('pinvault sandbox did not start; name the program with PINVAULT, or a server with PINVAULT_URL', { cause: e }));
    });
    program.once('close', () => {
      clearTimeout(late);
      reject(new Error(`pinvault sandbox did not start: ${log.trim()}`));
    });
    program.stderr.on('data', (text: Buffer) => { if (log.length < 65_536) log += text; });
    program.stdout.on('data', (text: Buffer) => {
      said += text;
      if (!said.includes('\n')) return;
      clearTimeout(late);
      resolve(said);
    });
  });
}

/** The id of a client as the space itself knows it. */
const withoutSpace = (client: string) => client.split('@', 1)[0]!;

/** A space of a sandbox, with clients that are ready to be used, rules, a clock and a journal of its own. */
export class Space {
  /** The server's URL in this space; contracts' paths follow it. */
  readonly url: string;
  readonly #server: Sandbox;
  readonly #own: ReturnType<typeof contract.connect>;
  #fixtures: Promise<contract.Fixtures> | undefined;

  constructor(server: Sandbox, readonly id: string) {
    this.url = `${server.url}/spaces/${id}`;
    this.#server = server;
    this.#own = contract.connect(this.url);
  }

  /** The clients and cards that the space began with. */
  fixtures(): Promise<contract.Fixtures> {
    return this.#fixtures ??= contract.getSandboxFixtures({ client: this.#own });
  }

  /** What a client of the fixtures or the seed proves itself by, the space's own. */
  async credentials(client: string): Promise<Record<string, string>> {
    const known = (await this.fixtures()).clients[client];
    if (!known) throw new Error(`there is no client ${client}`);
    return known as Record<string, string>;
  }

  /** A card of the fixtures or the seed, with its PIN and references. */
  async card(name: string): Promise<Record<string, string>> {
    const card = (await this.fixtures()).cards[name];
    if (!card) throw new Error(`there is no card ${name}`);
    return card as Record<string, string>;
  }

  /** All cards as they stand, with their tries and what has happened to them. */
  async cards(): Promise<contract.CardState[]> {
    return (await contract.listSandboxCards({ client: this.#own })).cards;
  }

  async #secret(client: string): Promise<[string, string, string]> {
    const { client_id, client_secret } = await this.credentials(client);
    return [this.url, client_id!, client_secret!];
  }

  sandbox() {
    return this.#own;
  }

  common() {
    return common.connect(this.url);
  }

  async issuer(client = 'issuer') {
    return issuer.connect(...await this.#secret(client));
  }

  async thredd(client = 'thredd') {
    return thredd.connect(...await this.#secret(client));
  }

  /** Seals its requests under the client's key. */
  async creditplus(client = 'creditplus') {
    const { key_hex, key_id } = await this.credentials(client);
    return creditplus.connect(...await this.#secret(client), new MessageKey(key_hex!, key_id!));
  }

  async accosa(client = 'accosa') {
    const { key_hex, 'x-api-key': key } = await this.credentials(client);
    return accosa.connect(this.url, key!, new TokenKey(key_hex!));
  }

  async networkintl(client = 'networkintl') {
    return networkintl.connect(...await this.#secret(client));
  }

  async hashdt(client = 'hashdt') {
    return hashdt.connect(this.url, (await this.credentials(client))['x-api-key']!);
  }

  hosted() {
    return hosted.connect(this.url);
  }

  /** Has a row, fault, drop or delay come out of the calls that it fits, until `clearRules`. */
  rule(what: contract.RuleRequest): Promise<contract.Rule> {
    return contract.createRule({ client: this.#own, body: what.client ? { ...what, client: withoutSpace(what.client) } : what });
  }

  async clearRules(): Promise<void> {
    await contract.deleteRules({ client: this.#own });
  }

  /** What time it is here. */
  async now(): Promise<Date> {
    return new Date((await contract.getClock({ client: this.#own })).now);
  }

  /** Moves the time on; what expires by then has expired at once. */
  advance(seconds: number): Promise<Date> {
    return this.#moved({ advanceSeconds: seconds });
  }

  /** Makes it the time that is given, and goes on from there or stands still. */
  setTime(now: Date, running = true): Promise<Date> {
    return this.#moved({ now: now.toISOString(), running });
  }

  /** Makes it the server's time. */
  resetTime(): Promise<Date> {
    return this.#moved({ reset: true });
  }

  async #moved(body: contract.ClockChange): Promise<Date> {
    return new Date((await contract.moveClock({ client: this.#own, body })).now);
  }

  /** What was sent here and answered, newest first. */
  async journal(only: NonNullable<contract.ListJournalData['query']> = {}): Promise<contract.Entry[]> {
    const query = only.client ? { ...only, client: withoutSpace(only.client) } : only;
    return (await contract.listJournal({ client: this.#own, query })).entries;
  }

  async clearJournal(): Promise<void> {
    await contract.clearJournal({ client: this.#own });
  }

  /** Keeps what the space holds, to restore it or to begin others with; gives the snapshot's id. */
  async snapshot(id: string = randomUUID()): Promise<string> {
    return (await contract.createSnapshot({ client: this.#own, body: { id } })).id;
  }

  async restore(snapshotId: string): Promise<void> {
    await contract.restoreSnapshot({ client: this.#own, path: { snapshotId } });
  }

  /** Makes the space what it was at first. */
  async reset(): Promise<void> {
    await contract.resetSandbox({ client: this.#own });
  }

  /** Removes the space. */
  async close(): Promise<void> {
    try {
      await contract.deleteSpace({ client: contract.connect(this.#server.url), path: { spaceId: this.id } });
    } catch (e) {
      if (!(e instanceof contract.SandboxError) || e.status !== 404) throw e; // which a repeated call hears, too
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

let shared: Promise<Sandbox> | undefined;

/** Fixtures for `test.extend`: a `space` for each test, of one sandbox for each process of the runner. */
export const fixtures = {
  // Runners read which fixtures are wanted from the braces.
  space: async ({}: object, use: (space: Space) => Promise<void>): Promise<void> => {
    shared ??= Sandbox.start();
    const space = await (await shared).space();
    try {
      await use(space);
    } finally {
      await space.close();
    }
  },
};
