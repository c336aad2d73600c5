import test from 'ava';
import {failureOf, jitter, retryDelayMs} from '../../reconciler/outcome.ts';
import {AppError} from '../../schemas/errors.ts';

test('what the user must change stalls, what may pass is retried', (t) => {
  t.is(failureOf(new AppError('USER_NOT_FOUND', 'No user bob')).kind, 'stalled');
  t.is(failureOf(new AppError('CONTAINER_UNAVAILABLE', 'No answer')).kind, 'retry');
  t.is(failureOf(new AppError('STORAGE_FULL', 'Full')).kind, 'retry');
  t.is(failureOf(new Error('bug')).kind, 'retry');
});

test('a failure is a sentence with a machine reason', (t) => {
  t.deepEqual(failureOf(new AppError('USER_NOT_FOUND', 'No user bob')), {
    kind: 'stalled',
    reason: 'user_not_found',
    message: 'No user bob.',
  });
});

test('a full disk is named, whichever step met it', (t) => {
  const failure = failureOf(Object.assign(new Error('ENOSPC: write'), {code: 'ENOSPC'}));
  t.is(failure.kind, 'retry');
  t.is(failure.reason, 'storage_full');
  t.regex(failure.message, /Free some space/);
});

test('retries start at 750 ms, double, and end at 15 minutes', (t) => {
  t.deepEqual(
    [1, 2, 3, 30].map((failures) => retryDelayMs(failures, 0.5)),
    [750, 1500, 3000, 900_000],
  );
});

test('jitter stays within 20 percent', (t) => {
  t.is(jitter(1000, 0), 800);
  t.true(jitter(1000, 0.999_999) <= 1200);
});
