import test from 'ava';
import {type IdleLimits, idleNotice, idleRemovalMs, pauseAt} from '../../reconciler/idle.ts';
import {recordWith} from '../helpers/branch-fixtures.ts';

const dayMs = 86_400_000;
const pushedMs = Date.parse('2026-01-01T00:00:00.000Z');
const day = (days: number) => pushedMs + days * dayMs;
const at = (days: number) => new Date(day(days)).toISOString();
const limits: IdleLimits = {pauseAfterMs: 14 * dayMs, removeAfterMs: 28 * dayMs};
const never: IdleLimits = {pauseAfterMs: null, removeAfterMs: null};
const idleSince = (days: number) => recordWith({pause: {reason: 'idle', since: at(days)}});

test('without limits a preview is never idle', (t) => {
  t.is(pauseAt(recordWith(), never, day(10_000)), null);
  t.is(idleNotice(recordWith(), never, day(10_000)), null);
  t.is(pauseAt(idleSince(3), never, day(10_000)), null);
});

test('a preview is paused after its days, and says so three days before', (t) => {
  const record = recordWith();
  t.is(idleNotice(record, limits, day(11) - 1), null);
  t.regex(
    idleNotice(record, limits, day(11)) ?? '',
    /paused at 2026-01-15T00:00:00\.000Z.*branchtab release/,
  );
  t.is(pauseAt(record, limits, day(14) - 1), null);
  t.deepEqual(pauseAt(record, limits, day(14)), {reason: 'idle', since: at(14)});
});

test('it goes after its days', (t) => {
  t.is(idleRemovalMs(idleSince(14), limits), day(28));
  t.is(idleRemovalMs(recordWith(), limits), null);
});

test('nobody who was away finds a preview gone that was not paused for three days', (t) => {
  const record = recordWith({pause: pauseAt(recordWith(), limits, day(400))});
  t.deepEqual(record.pause, {reason: 'idle', since: at(400)});
  t.is(idleRemovalMs(record, limits), day(403));
});

test('with a limit for its removal alone it is paused three days before', (t) => {
  const alone: IdleLimits = {pauseAfterMs: null, removeAfterMs: 28 * dayMs};
  t.is(pauseAt(recordWith(), alone, day(25) - 1), null);
  t.deepEqual(pauseAt(recordWith(), alone, day(25)), {reason: 'idle', since: at(25)});
});

test('with a limit for its pause alone it stays paused', (t) => {
  const alone: IdleLimits = {pauseAfterMs: 14 * dayMs, removeAfterMs: null};
  t.is(idleRemovalMs(idleSince(14), alone), null);
});

test('a release counts as a push does', (t) => {
  const record = recordWith({released_at: at(20)});
  t.is(pauseAt(record, limits, day(30)), null);
  t.is(pauseAt(record, limits, day(34))?.reason, 'idle');
});

test('longer limits end a pause', (t) => {
  t.is(pauseAt(idleSince(14), {pauseAfterMs: 60 * dayMs, removeAfterMs: null}, day(20)), null);
});

test('who waits since first contact waits on, whatever the limits say', (t) => {
  const waiting = recordWith({pause: {reason: 'first_contact', since: at(0)}});
  t.is(pauseAt(waiting, limits, day(100))?.reason, 'first_contact');
  t.is(pauseAt(waiting, never, day(100))?.reason, 'first_contact');
  t.is(idleRemovalMs(waiting, limits), null);
});

test('a clock that was set back pauses nobody', (t) => {
  t.is(pauseAt(recordWith(), limits, day(-10_000)), null);
  t.is(idleNotice(recordWith(), limits, day(-10_000)), null);
});
