import test from 'ava';
import fc from 'fast-check';
import {loadScheduleWords} from '../../../runtime/cron/schedule-words.ts';
import {canonicalFields} from '../../../schemas/schedule/canonical.ts';
import {minutesOf, parseSchedule} from '../../../schemas/schedule/parse.ts';

const parse = (text: string) => {
  const result = parseSchedule(text);
  if (!result.ok) throw new Error(result.issue.message);
  return result.schedule;
};

const described = [
  ['* * * * *', 'Every minute'],
  ['*/5 * * * *', 'Every 5 minutes'],
  ['*/30 * * * *', 'Every 30 minutes'],
  ['*/35 * * * *', 'At 0 and 35 minutes past the hour'],
  ['*/100 * * * *', 'Every hour'],
  ['@hourly', 'Every hour'],
  ['0 2 * * *', 'At 02:00 every day'],
  ['0 2,14 * * *', 'At 02:00 and 14:00 every day'],
  ['* 2 * * *', 'Every minute, between 02:00 and 02:59'],
  ['0 9 * * 1-5', 'At 09:00, Monday through Friday'],
  ['0 0 * * 0,7', 'At 00:00, only on Sunday'],
  ['0 0 * * fri-sun', 'At 00:00, Friday through Sunday'],
  ['0 0 13 * fri', 'At 00:00, on day 13 of the month, or on Friday'],
  ['0 0 1 * 1-3', 'At 00:00, on day 1 of the month, or on Monday, Tuesday, and Wednesday'],
  ['0 0 1-31 * 1', 'At 00:00 every day'],
  ['0 0 */2 * 1', 'At 00:00, every 2 days in a month, between day 1 and 31 of the month, only on Monday'],
  ['@reboot', 'Once when the container starts'],
] as const;
for (const [text, expect] of described) {
  test(`in words: ${text}`, async (t) => {
    const describe = await loadScheduleWords();
    t.is(describe(parse(text)), expect);
  });
}

const field = (first: number, last: number) => {
  const value = fc.integer({min: first, max: last});
  const step = fc.integer({min: 1, max: last + 5});
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const item = fc.oneof(
    fc.constant('*'),
    value.map(String),
    range,
    fc.tuple(fc.oneof(fc.constant('*'), range), step).map(([of, by]) => `${of}/${by}`),
  );
  return fc.array(item, {minLength: 1, maxLength: 3}).map((items) => items.join(','));
};
const expressions = fc
  .tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
  .map((fields) => fields.join(' '));

test('the fields written anew match the same minutes', (t) => {
  fc.assert(
    fc.property(expressions, (text) => {
      const schedule = parse(text);
      const again = parse(canonicalFields(schedule) ?? '');
      t.deepEqual(minutesOf(again), minutesOf(schedule));
      t.is(again.hours, schedule.hours);
      t.is(again.months, schedule.months);
      if (schedule.dayRule === 'both') {
        t.deepEqual([again.days, again.weekdays], [schedule.days, schedule.weekdays]);
      } else {
        const everyDay = schedule.days === 0xfffffffe >> 0 || schedule.weekdays === 0x7f;
        t.is(again.dayRule === 'either', !everyDay);
        if (!everyDay) t.deepEqual([again.days, again.weekdays], [schedule.days, schedule.weekdays]);
      }
    }),
    {numRuns: 500},
  );
});

test('there are words for every schedule', async (t) => {
  const describe = await loadScheduleWords();
  fc.assert(
    fc.property(expressions, (text) => {
      const words = describe(parse(text));
      t.true(words.length > 0 && !/undefined|null|NaN|\*/.test(words), `${text}: ${words}`);
    }),
    {numRuns: 500},
  );
});
