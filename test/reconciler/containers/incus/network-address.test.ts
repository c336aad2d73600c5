import test from 'ava';
import {chooseAddress, ownGateway} from '../../../../reconciler/containers/incus/network-address.ts';

const id = 'a'.repeat(24);
const choose = (gateway: string, taken: readonly string[] = [], of = id) =>
  chooseAddress({gateway, taken: new Set(taken)}, {id: of, network: 'net'});

test('a container gets the same free address of the network each time', (t) => {
  const chosen = choose('10.1.2.1/24');
  t.regex(chosen.address, /^10\.1\.2\./);
  t.like(chosen, {prefixLength: 24, gateway: '10.1.2.1'});
  t.deepEqual(choose('10.1.2.1/24'), chosen);
  t.not(choose('10.1.2.1/24', [chosen.address]).address, chosen.address);
});

test('every address but those of the network, the broadcast and the gateway is given out, each once', (t) => {
  const taken: string[] = [];
  for (let count = 0; count < 5; count += 1) taken.push(choose('10.1.2.9/29', taken).address);
  t.deepEqual(taken.toSorted(), ['10.1.2.10', '10.1.2.11', '10.1.2.12', '10.1.2.13', '10.1.2.14']);
  t.throws(() => choose('10.1.2.9/29', taken), {
    code: 'PROVIDER_UNAVAILABLE',
    message: /net.*10\.1\.2\.9\/29/,
  });
});

for (const gateway of [
  '',
  'auto',
  '10.1.2.1',
  '10.1.2/24',
  '10.1.2.1/31',
  '300.1.1.1/24',
  'fd00::1/64',
  '10.1.2.1/x',
])
  test(`no address comes of ${JSON.stringify(gateway)}`, (t) => {
    t.throws(() => choose(gateway), {code: 'PROVIDER_UNAVAILABLE'});
  });

test('state directories have networks of their own', (t) => {
  const all = new Set(Array.from({length: 20}, (_, number) => ownGateway(`owner-${number}`)));
  t.true(all.size > 18);
  for (const gateway of all) t.regex(choose(gateway).address, /^10\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
});
