// Two tests at once, each in a space of its own.
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getReadiness } from '@pinvault/sdk/common';
import { fixtures, Sandbox, type Space } from '@pinvault/sdk/testing';
import { getCardPin, setCardPin, ThreddError } from '@pinvault/sdk/thredd';
import { expect, test as base } from 'vitest';

const test = base.extend<{ space: Space }>(fixtures);

/** A place where two wait for each other. */
function meeting(): () => Promise<void> {
  let come = 0;
  let both!: () => void;
  const met = new Promise<void>((resolve) => { both = resolve; });
  return () => {
    if (++come === 2) both();
    return met;
  };
}

const begun = meeting();
const done = meeting();

for (const [name, pin] of [['one', '4826'], ['other', '7391']] as const) {
  test.concurrent(`${name} sees nothing of the other`, async ({ space }) => {
    const client = await space.thredd();
    const path = { publicToken: (await space.card('normal')).publicToken! };
    await begun();
    await setCardPin({ client, path, body: { pin } });
    if (name === 'one') {
      await space.advance(2 * 86_400);
      await space.rule({ row: 'getReadiness/not-ready' });
    }
    await done();
    expect(await getCardPin({ client: await space.thredd(), path })).toEqual({ pin }); // with a token of that time
    expect((await space.now()).getTime() > Date.now() + 86_400_000).toBe(name === 'one');
    const ready = getReadiness({ client: space.common() });
    if (name === 'one') await expect(ready).rejects.toMatchObject({ status: 503 });
    else expect(await ready).toEqual({ status: 'ok' });
    expect(await space.journal({ operation: 'setCardPin' })).toHaveLength(1);
  });
}

test('a space goes back to what was kept', async ({ space }) => {
  const client = await space.thredd();
  const card = await space.card('normal');
  const path = { publicToken: card.publicToken! };
  const kept = await space.snapshot();
  await setCardPin({ client, path, body: { pin: '4826' } });
  const sandbox = await Sandbox.start();
  const other = await sandbox.space({ snapshot: kept });
  expect(await getCardPin({ client: await other.thredd(), path })).toEqual({ pin: card.pin });
  await other.close();
  await space.restore(kept);
  expect(await getCardPin({ client, path })).toEqual({ pin: card.pin });
  await space.rule({ fault: 'database', client: (await space.credentials('thredd')).client_id! });
  await expect(getCardPin({ client, path })).rejects.toBeInstanceOf(ThreddError);
  await space.reset();
  await space.clearJournal();
  expect(await space.journal()).toEqual([]);
}, 30_000);

test('a sandbox is started and seeded', async () => {
  const seed = join(tmpdir(), `seed-${process.pid}.yaml`);
  const program = process.env.PINVAULT;
  writeFileSync(seed, "cards: [{name: gold, pin: '4826', references: [{kind: publicToken, value: '207000001'}]}]");
  const sandbox = await Sandbox.start({ program, seed });
  const space = await sandbox.space();
  expect(await getCardPin({ client: await space.thredd(), path: { publicToken: '207000001' } })).toEqual({ pin: '4826' });
  await sandbox.close();
  writeFileSync(seed, 'cards: [{nam: gold}]');
  await expect(Sandbox.start({ program, seed })).rejects.toThrow('nam is unknown');
}, 60_000);
