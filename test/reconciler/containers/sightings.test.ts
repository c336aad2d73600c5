import test from 'ava';
import {Sightings} from '../../../reconciler/containers/sightings.ts';

test('what ended runs again only when we started it, whatever the engine says while it clears up', (t) => {
  const seen = new Sightings();
  seen.noteStart('a');
  t.true(seen.isRunning('a'));
  seen.answerEnd('a');
  seen.answer('a', true);
  t.false(seen.isRunning('a'));
  seen.note('a', true);
  t.false(seen.isRunning('a'));
  seen.noteStart('a');
  t.true(seen.isRunning('a'));
});

test('one whose machine was away runs again when that is back', (t) => {
  const seen = new Sightings();
  seen.noteStart('a');
  seen.answer('a', false);
  seen.answer('a', true);
  t.true(seen.isRunning('a'));
});

test('an answer to a question of before we changed something does not count', (t) => {
  const seen = new Sightings();
  const asked = seen.ask();
  seen.noteStart('a');
  t.false(seen.counts('a', asked));
  t.true(seen.counts('b', asked));
  t.true(seen.counts('a', seen.ask()));
});
