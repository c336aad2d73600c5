import test from 'ava';
import {timeRange} from '../../cli/time-range.ts';

/** A Saturday. */
const nowMs = Date.parse('2026-11-21T09:30:00Z');

for (const {on, day} of [
  {on: '2026-11-17', day: '2026-11-17'},
  {on: 'tuesday', day: '2026-11-17'},
  {on: 'Saturday', day: '2026-11-14'},
  {on: 'today', day: '2026-11-21'},
  {on: 'yesterday', day: '2026-11-20'},
]) {
  test(`--on ${on} is the day ${day}`, (t) => {
    const {since, until} = timeRange({on}, nowMs);
    t.is(since, `${day}T00:00:00.000Z`);
    t.is(Date.parse(until ?? '') - Date.parse(since ?? ''), 86_400_000);
  });
}

test('times are instants or days', (t) => {
  t.deepEqual(timeRange({}, nowMs), {});
  t.deepEqual(timeRange({since: '2026-11-17T02:00:00+01:00', until: 'yesterday'}, nowMs), {
    since: '2026-11-17T01:00:00.000Z',
    until: '2026-11-20T00:00:00.000Z',
  });
});

test('what is no time is refused with an example', (t) => {
  for (const flags of [
    {on: 'someday'},
    {on: '2026-02-30'},
    {since: '9'},
    {until: ''},
    {on: 'today', since: 'today'},
  ])
    t.throws(() => timeRange(flags, nowMs), {code: 'CONFIG_INVALID'});
});
