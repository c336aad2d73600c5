import test from 'ava';
import {breakerTrips, farEnoughApart} from '../../reconciler/deletion.ts';

for (const {previews, missing, trips} of [
  {previews: 10, missing: 3, trips: false},
  {previews: 4, missing: 3, trips: false},
  {previews: 4, missing: 4, trips: true},
  {previews: 10, missing: 5, trips: false},
  {previews: 10, missing: 6, trips: true},
  {previews: 1, missing: 1, trips: false},
  {previews: 10_000, missing: 10_000, trips: true},
]) {
  test(`${missing} of ${previews} previews missing ${trips ? 'trips' : 'does not trip'} the breaker`, (t) => {
    t.is(breakerTrips({previews, missing, listed: 1}), trips);
  });
}

test('a listing without any branch trips the breaker, however few previews there are', (t) => {
  t.true(breakerTrips({previews: 1, missing: 1, listed: 0}));
});

test('two looks prove a deletion from two seconds apart, of a local repository from a quarter of one', (t) => {
  const since = '2026-01-01T00:00:00.000Z';
  t.false(farEnoughApart(since, Date.parse(since) + 1999, 'remote'));
  t.true(farEnoughApart(since, Date.parse(since) + 2000, 'remote'));
  t.false(farEnoughApart(since, Date.parse(since) + 249, 'local'));
  t.true(farEnoughApart(since, Date.parse(since) + 250, 'local'));
});
