import test from 'ava';
import fc from 'fast-check';
import {parseSchedule} from '../../../schemas/schedule/parse.ts';

const accepted = [
  '* * * * *',
  '00 05 01 01 0',
  '0-59 0-23 1-31 1-12 0-7',
  '*/100 * * * *',
  '5-5/3 * * * *',
  '1,1,1-3,2-4 * * * *',
  '0 0 30 2 *',
  '0 0 * JAN-mar Mon',
  '0 0 * * fri-sun',
  '0 0 * * 5-7',
  '  0\t2  * * *  ',
];
for (const text of accepted) {
  test(`S20: accepts ${JSON.stringify(text)}`, (t) => {
    t.true(parseSchedule(text).ok);
  });
}

const refused = [
  {text: '', column: 1, says: /empty/},
  {text: '*/30', column: 5, says: /hour is missing/},
  {text: '* * * *', column: 8, says: /day of week is missing/},
  {text: '0 0 12 * * ?', column: 12, says: /6 fields/},
  {text: '0 0 12 * * 1 2026', column: 12, says: /7 fields/},
  {text: '60 * * * *', column: 1, says: /minute field: `60`/},
  {text: '0 24 * * *', column: 3, says: /hour field/},
  {text: '0 0 0 * *', column: 5, says: /1-31/},
  {text: '0 0 * 13 *', column: 7, says: /month/},
  {text: '0 0 * * 8', column: 9, says: /day of week/},
  {text: '5/10 * * * *', column: 1, says: /`5-59\/10`/},
  {text: '30-10 * * * *', column: 1, says: /reversed/},
  {text: '0 0 * * fri-mon', column: 9, says: /reversed/},
  {text: '*/0 * * * *', column: 1, says: /at least 1/},
  {text: '*/-1 * * * *', column: 1, says: /step/},
  {text: '1,,2 * * * *', column: 3, says: /comma/},
  {text: '1,x * * * *', column: 3, says: /`x`/},
  {text: '1e1 * * * *', column: 1, says: /`1e1`/},
  {text: '0x5 * * * *', column: 1, says: /`0x5`/},
  {text: '+5 * * * *', column: 1, says: /`\+5`/},
  {text: '5.0 * * * *', column: 1, says: /`5\.0`/},
  {text: '? * * * *', column: 1, says: /write `\*`/},
  {text: '0 0 L * *', column: 5, says: /does not have/},
  {text: '0 0 15W * *', column: 5, says: /does not have/},
  {text: '0 0 * * 5#2', column: 9, says: /does not have/},
  {text: '0~30 * * * *', column: 1, says: /does not have/},
  {text: '0 0 * * monday', column: 9, says: /write `mon`/},
  {text: 'mon * * * *', column: 1, says: /minute/},
  {text: '0\u00a00 * * * *', column: 1, says: /U\+00A0/},
  {text: '\ufeff0 0 * * *', column: 1, says: /U\+FEFF/},
  {text: '0 0 * * *\r', column: 9, says: /U\+000D/},
  {text: '0 0 * * *\n', column: 9, says: /U\+000A/},
  {text: '@every 5m', column: 1, says: /known are/},
  {text: '@Daily', column: 1, says: /write `@daily`/},
  {text: '@constructor', column: 1, says: /not a macro/},
  {text: '@daily x', column: 8, says: /Nothing may follow/},
];
for (const {text, column, says} of refused) {
  test(`S20: refuses ${JSON.stringify(text)}`, (t) => {
    const result = parseSchedule(text);
    if (result.ok) return t.fail('was accepted');
    t.is(result.issue.column, column);
    t.is(result.issue.code, 'schedule_invalid');
    t.regex(result.issue.message, says);
  });
}

const equals = test.macro((t, {a, b}: {a: string; b: string}) => {
  const [first, second] = [parseSchedule(a), parseSchedule(b)];
  if (!first.ok || !second.ok) return t.fail('was refused');
  t.deepEqual({...first.schedule, text: ''}, {...second.schedule, text: ''});
});
test('S38: @hourly is its five fields', equals, {a: '@hourly', b: '0 * * * *'});
test('S38: @daily and @midnight are the same', equals, {a: '@daily', b: '@midnight'});
test('S38: @weekly is Sunday midnight', equals, {a: '@weekly', b: '0 0 * * 0'});
test('S38: @monthly is the first day', equals, {a: '@monthly', b: '0 0 1 * *'});
test('S38: @yearly and @annually are the same', equals, {a: '@yearly', b: '@annually'});
test('7 is Sunday', equals, {a: '0 0 * * 7', b: '0 0 * * sun'});
test('a range of names may end with Sunday', equals, {a: '0 0 * * sat-sun', b: '0 0 * * 0,6'});

test('schedules are written with single blanks', (t) => {
  const result = parseSchedule(' 0\t2   * * * ');
  t.true(result.ok && result.schedule.text === '0 2 * * *');
});

test('the parser never throws and points into the text', (t) => {
  const junk = fc.oneof(fc.string({unit: 'binary'}), fc.stringMatching(/^[*\d/,\-@a-z ]{0,30}$/));
  fc.assert(
    fc.property(junk, (text) => {
      const result = parseSchedule(text);
      t.true(result.ok || (result.issue.column >= 1 && result.issue.column <= text.length + 1));
    }),
    {numRuns: 500},
  );
});
