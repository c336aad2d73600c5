import test from 'ava';
import {loopbackAddress} from '../../../../reconciler/containers/process/loopback-address.ts';

test('20,000 ids get addresses of their own inside 127.64.0.0/10', (t) => {
  const taken = new Set<string>();
  for (let id = 0; id < 20_000; id += 1) taken.add(loopbackAddress(String(id), taken));
  t.is(taken.size, 20_000);
  for (const address of taken) {
    const [, second = 0, , last = 0] = address.split('.').map(Number);
    if (second < 64 || second > 127 || last < 1 || last > 254) t.fail(address);
  }
  t.pass();
});

test('an id gets the same address while it is free', (t) => {
  const first = loopbackAddress('a', new Set());
  t.is(loopbackAddress('a', new Set()), first);
  t.not(loopbackAddress('a', new Set([first])), first);
});
