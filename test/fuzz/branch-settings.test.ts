import test from 'ava';
import fc from 'fast-check';
import {previewLimits} from '../../reconciler/branch-limits.ts';
import {tightened} from '../../reconciler/branch-settings.ts';
import {branchSettingsPath, parseBranchSettings} from '../../schemas/branch-settings.ts';
import {fuzz} from '../helpers/fuzz.ts';

const word = fc.oneof(
  fc.constantFrom(
    'version',
    'live',
    'previews',
    'limits',
    'run',
    'idle',
    'cpus',
    'memory',
    'run_time',
    'overlap',
    'pause_after',
    'remove_after',
    '__proto__',
    '<<',
  ),
  fc.string({unit: 'binary', maxLength: 8}),
);
const value = fc.oneof(
  fc.constantFrom(
    '1',
    '0',
    '-1',
    '.inf',
    '.nan',
    '1e999',
    '512MB',
    '1m',
    '30d',
    'none',
    'never',
    '~',
    '*a',
    '&a {}',
  ),
  fc.string({unit: 'binary', maxLength: 12}),
);
const pairs = (of: fc.Arbitrary<string>) =>
  fc
    .array(fc.tuple(word, of), {maxLength: 4})
    .map((entries) => `{${entries.map(([name, text]) => `${name}: ${text}`).join(', ')}}`);
const text = fc.oneof(
  pairs(pairs(pairs(value))).map((tree) => `version: 1\npreviews: ${tree}\n`),
  pairs(pairs(value)),
  fc.string({unit: 'binary', maxLength: 200}),
);
const operator = {
  limits: {limits: previewLimits, enforced: true},
  run: 'all',
  idle: {pauseAfterMs: null, removeAfterMs: null},
} as const;

test('any settings of a branch are tighter ones, or issues with a place in the file', async (t) => {
  await fuzz(
    t,
    fc.property(text, (written) => {
      const lines = written.split('\n').length;
      const {value: settings, issues, positionOf} = parseBranchSettings(written);
      const found =
        settings === null
          ? issues
          : tightened(operator, {settings, positionOf}, {live: false, kept: false}).issues;
      return (
        (settings !== null || issues.length > 0) &&
        found.every(
          ({file, line, column, message}) =>
            file === branchSettingsPath && line >= 1 && line <= lines && column >= 1 && message !== '',
        )
      );
    }),
    {runs: 300},
  );
});
