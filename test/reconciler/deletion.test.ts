import test from 'ava';
import {breakerTrips, provenByListings} from '../../reconciler/deletion.ts';

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
    t.is(breakerTrips({previews, missing}), trips);
  });
}

test('two listings prove a deletion from two seconds apart', (t) => {
  const since = '2026-01-01T00:00:00.000Z';
  t.false(provenByListings(since, Date.parse(since) + 1999));
  t.true(provenByListings(since, Date.parse(since) + 2000));
});
