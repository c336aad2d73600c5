import test from 'ava';
import fc from 'fast-check';
import {fuzz} from '../helpers/fuzz.ts';
import {startOrderingRuntime} from '../helpers/ordering-runtime.ts';
import {RawClient} from '../helpers/pipe-world.ts';

const chunked = {'Transfer-Encoding': 'chunked'};

test('whatever a runtime orders, the gateway goes on', async (t) => {
  const number = fc.integer({min: -1, max: 6});
  const order = fc.oneof(
    fc.record({order: fc.constantFrom('read', 'stop'), from: number}),
    fc.record({order: fc.constant('pump'), from: number, to: fc.array(number, {maxLength: 4})}),
    fc.record({order: fc.constant('drop'), from: number, to: number}),
    fc.json().map((text) => JSON.parse(text)),
  );
  await fuzz(
    t,
    fc.asyncProperty(
      fc.array(order, {maxLength: 8}),
      fc.array(fc.nat(6), {maxLength: 6}),
      async (orders, answers) => {
        const cleanUps: (() => unknown)[] = [];
        const runtime = await startOrderingRuntime({teardown: (work) => void cleanUps.unshift(work)});
        const clients = await Promise.all([
          ...[1, 2].map(() => RawClient.open(runtime.url, 'GET', '/x')),
          ...[1, 2].map(() => RawClient.open(runtime.url, 'PUT', '/x', {headers: chunked})),
        ]);
        await runtime.until(() => runtime.relayed.size === clients.length);
        for (const client of clients.slice(2)) client.writeChunk('some bytes');
        for (const [index, each] of orders.entries()) {
          runtime.say(`${JSON.stringify(each)}\n`);
          const exchange = runtime.relayed.get(answers[index] ?? 0);
          exchange?.respond({status: 200, fields: [], lengthBytes: index % 2 === 0 ? null : index}).end();
        }
        const alive = await fetch(`http://127.0.0.1:${runtime.port}/alive`);
        if (alive.status !== 418) throw new Error(String(alive.status));
        for (const client of clients) client.leave();
        for (const cleanUp of cleanUps) await cleanUp();
      },
    ),
    {runs: 40},
  );
  t.pass();
});
