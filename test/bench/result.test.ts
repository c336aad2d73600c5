import test from 'ava';
import {histogram, percentile, resultTable} from '../../bench/result.ts';

test('a percentile is the smallest value that the share does not exceed', (t) => {
  const values = [40, 10, 30, 20];
  t.deepEqual(
    [0, 0.25, 0.5, 0.99, 1].map((share) => percentile(values, share)),
    [10, 10, 20, 40, 40],
  );
});

test('a histogram counts every value once, those above the last bound too', (t) => {
  t.deepEqual(histogram([0, 9.9, 10, 149, 5000]), [
    {below_ms: 10, count: 2},
    {below_ms: 20, count: 1},
    {below_ms: 150, count: 1},
    {below_ms: null, count: 1},
  ]);
});

test('a figure at its limit is over it, a number of processes is not', (t) => {
  const table = resultTable([
    {
      name: 'x',
      figures: [
        {label: 'time', value: 15, unit: 'ms', limit: 15},
        {label: 'git', value: 4, unit: 'processes', limit: 4},
      ],
      values: {},
      notes: [],
    },
  ]);
  t.regex(table, /time .* 1\.00 x +\| OVER/);
  t.regex(table, /git .* 1\.00 x +\| within/);
});
