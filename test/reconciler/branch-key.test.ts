import test from 'ava';
import fc from 'fast-check';
import {branchKey} from '../../reconciler/branch-key.ts';

const key = (branch: string, repository = '/srv/repo') => branchKey({repository, path: '.', branch});

test('S42: names with a slash become readable keys', (t) => {
  t.regex(key('feature/billing-v2'), /^feature-billing-v2-[0-9a-f]{8}$/);
  t.regex(key('experiment/llm-rollups'), /^experiment-llm-rollups-[0-9a-f]{8}$/);
});

test('S42: names that differ only in case, in punctuation or beyond 40 characters have keys of their own', (t) => {
  t.not(key('Feature/x'), key('feature/x'));
  t.not(key('a.b'), key('a/b'));
  t.not(key(`${'x'.repeat(200)}1`), key(`${'x'.repeat(200)}2`));
});

test('the same branch of two repositories has two keys', (t) => {
  t.not(key('main', '/srv/a'), key('main', '/srv/b'));
});

test('every name gives a key that is safe as a file, host and container name', (t) => {
  fc.assert(
    fc.property(
      fc.string({unit: 'binary', maxLength: 300}),
      (branch) => /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(key(branch)) && key(branch).length <= 49,
    ),
  );
  t.pass();
});
