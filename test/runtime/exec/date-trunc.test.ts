import test from 'ava';
import {dateTrunc} from '../../../runtime/exec/date-trunc.ts';

const truncates = test.macro(
  (t, {unit, time, expect}: {unit: string; time: unknown; expect: string | null}) => {
    t.is(dateTrunc(unit, time), expect);
  },
);

const time = '2026-05-14 13:47:59.987';
test('second', truncates, {unit: 'second', time, expect: '2026-05-14 13:47:59'});
test('minute', truncates, {unit: 'minute', time, expect: '2026-05-14 13:47:00'});
test('hour', truncates, {unit: 'hour', time, expect: '2026-05-14 13:00:00'});
test('S7: day', truncates, {unit: 'day', time, expect: '2026-05-14 00:00:00'});
test('week starts on Monday', truncates, {unit: 'week', time, expect: '2026-05-11 00:00:00'});
test('week of a Sunday', truncates, {unit: 'week', time: '2026-05-17', expect: '2026-05-11 00:00:00'});
test('month', truncates, {unit: 'MONTH', time, expect: '2026-05-01 00:00:00'});
test('quarter', truncates, {unit: 'quarter', time, expect: '2026-04-01 00:00:00'});
test('year', truncates, {unit: 'years', time, expect: '2026-01-01 00:00:00'});
test('decade', truncates, {unit: 'decade', time, expect: '2020-01-01 00:00:00'});
test('century counts from 1', truncates, {
  unit: 'century',
  time: '2000-12-31',
  expect: '1901-01-01 00:00:00',
});
test('millennium counts from 1', truncates, {unit: 'millennium', time, expect: '2001-01-01 00:00:00'});
test('an offset is turned into UTC', truncates, {
  unit: 'day',
  time: '2026-05-14T00:30+02:00',
  expect: '2026-05-13 00:00:00',
});
test('unix seconds', truncates, {unit: 'day', time: 1_700_000_000, expect: '2023-11-14 00:00:00'});
test('unix milliseconds', truncates, {unit: 'day', time: 1_700_000_000_000, expect: '2023-11-14 00:00:00'});
test('null stays null', truncates, {unit: 'day', time: null, expect: null});
test('what is no time gives null', truncates, {unit: 'day', time: 'yesterday', expect: null});

test('an unknown unit is an error that lists the units', (t) => {
  t.throws(() => dateTrunc('fortnight', time), {message: /unknown unit "fortnight".*week/});
});
