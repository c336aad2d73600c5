import test from 'ava';
import {whenQuiet} from '../../../runtime/platform/quiet.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';

test('acts once when nothing was noted for the whole of a quiet time', async (t) => {
  const clock = new FakeClock();
  const acted: number[] = [];
  const startMs = clock.now();
  const note = whenQuiet({clock, quietMs: 1000, act: () => acted.push(clock.now() - startMs)});
  note();
  await clock.advance(600);
  note();
  await clock.advance(5000);
  t.deepEqual(acted, [2000]);
});

test('acts again after later activity, and never without any', async (t) => {
  const clock = new FakeClock();
  let acted = 0;
  const act = () => {
    acted += 1;
  };
  const note = whenQuiet({clock, quietMs: 1000, act});
  await clock.advance(5000);
  t.is(acted, 0);
  note();
  await clock.advance(1000);
  note();
  await clock.advance(1000);
  t.is(acted, 2);
});
