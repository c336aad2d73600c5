import test from 'ava';
import {diffEntries} from '../../../runtime/cron/crontab-diff.ts';
import {entriesOf} from '../../../runtime/cron/entry.ts';
import {parseCrontab} from '../../../schemas/crontab.ts';

const entries = (text: string) =>
  entriesOf('root', parseCrontab(text, {file: 'crontab', managedAllowed: true}), 'seed');

test('S34 S38: a text that differs in comments, order, blanks or macros alone touches no job', (t) => {
  const before = entries(`# What runs.
@hourly one
0 0 * * * two
@reboot three
# branchtab: name=four
15 4 * * 1 four
5 5 * * * five
5 5 * * * five
`);
  const after = entries(`# branchtab: name=four
15  4 * * 1   four

# Moved.
5 5 * * * five
@midnight two
0 * * * * one
@reboot three
5 5 * * *\tfive
`);
  const {added, kept, removed} = diffEntries(before, after);
  t.deepEqual([added, removed], [[], []]);
  t.deepEqual(
    kept.map(({name, changed}) => [name, changed]),
    [
      ['four', false],
      ['five', false],
      ['two', false],
      ['one', false],
      ['three', false],
      ['five', false],
    ],
  );
  const other = diffEntries(before, entries('30 * * * * one\n'));
  t.is(other.added.length, 1);
  t.is(other.removed.length, before.length);
});
