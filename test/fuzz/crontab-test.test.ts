import test from 'ava';
import fc from 'fast-check';
import {crontabTestIssues, crontabTestPath} from '../../schemas/crontab-test.ts';
import {fuzz} from '../helpers/fuzz.ts';

const crontabPath = '.hoody/crontab';
const crontab = `30 2 * * * backup
CRON_TZ=America/St_Johns
*/7 * 29 2 * rollup
@reboot boot
`;
const key = fc.constantFrom(
  'job',
  'user',
  'of',
  'never_within',
  'only_between',
  'runs_per_day',
  'at_least_every',
  'because',
  '__proto__',
  '<<',
);
const value = fc.oneof(
  fc.constantFrom(
    'backup',
    'rollup',
    'boot',
    "'*'",
    '30m',
    '1d',
    '366d',
    "['00:00', '24:00']",
    "['23:00', '01:00']",
    '{min: 1}',
    '{max: 0}',
    '*a',
    '&a x',
    '!!binary AAAA',
    '.inf',
    '-1',
  ),
  fc.string({unit: 'binary', maxLength: 12}),
);
const assertion = fc
  .array(fc.tuple(key, value), {maxLength: 5})
  .map((fields) => `  - {${fields.map(([name, text]) => `${name}: ${text}`).join(', ')}}`);
const text = fc.oneof(
  fc.array(assertion, {maxLength: 4}).map((all) => ['version: 1', 'assertions:', ...all].join('\n')),
  fc.string({unit: 'binary', maxLength: 200}),
);

test('any file of assertions gives issues with a place in it, or none', async (t) => {
  const crontabs = [{user: 'root', file: crontabPath, text: crontab}];
  await fuzz(
    t,
    fc.property(text, (file) => {
      const lines = file.split('\n').length;
      return crontabTestIssues(file, {crontabs, timeZone: 'UTC'}).every(
        (issue) =>
          issue.file === crontabTestPath &&
          issue.line >= 1 &&
          issue.line <= lines &&
          issue.column >= 1 &&
          issue.message !== '',
      );
    }),
    {runs: 200},
  );
});
