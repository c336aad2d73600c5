import {type BitSet, valuesOf} from './bit-set.ts';

/** A five-field crontab(5) expression or an `@` macro, ready for matching. Sunday is day 0 of the week. */
export interface Schedule {
  /** The fields joined by one space, or the macro. */
  readonly text: string;
  /** `@reboot`: runs when the container starts and at no time of day. */
  readonly reboot: boolean;
  /** Minutes 0 to 31. */
  readonly minutesLow: BitSet;
  /** Minutes 32 to 59, as 0 to 27. */
  readonly minutesHigh: BitSet;
  readonly hours: BitSet;
  readonly days: BitSet;
  readonly months: BitSet;
  readonly weekdays: BitSet;
  /** Vixie's rule: a day must match `both` day fields where one of them begins with `*`, else `either`. */
  readonly dayRule: 'both' | 'either';
  /** Minute or hour begins with `*`: such a job follows the wall clock through a change of the offset. */
  readonly wildcard: boolean;
}

/** `column` counts UTF-16 code units from 1, from the start of the parsed text. */
export interface ScheduleIssue {
  readonly column: number;
  readonly code: 'schedule_invalid';
  readonly message: string;
}

export type ScheduleResult =
  | {readonly ok: true; readonly schedule: Schedule}
  | {readonly ok: false; readonly issue: ScheduleIssue};

/** A word of a line with its zero-based start. */
export interface Word {
  readonly text: string;
  readonly start: number;
}

interface Field {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** Names in the order of their values, beginning with `first`. */
  readonly names: readonly string[];
}

const weekdayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

const fields = [
  {name: 'minute', first: 0, last: 59, names: []},
  {name: 'hour', first: 0, last: 23, names: []},
  {name: 'day of month', first: 1, last: 31, names: []},
  {name: 'month', first: 1, last: 12, names: monthNames},
  {name: 'day of week', first: 0, last: 7, names: weekdayNames},
] as const satisfies readonly Field[];

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** Parses a whole text that must be one schedule. Blanks and tabs around and between fields do not matter. */
export function parseSchedule(text: string): ScheduleResult {
  const words = splitWords(text);
  const [first] = words;
  if (first === undefined)
    return refuse(0, 'The schedule is empty; write five fields, for example `0 2 * * *`.');
  const expected = first.text.startsWith('@') ? 1 : fields.length;
  const extra = words[expected];
  if (extra === undefined) return parseWords(words);
  const whole = parseWords(words.slice(0, expected));
  if (!whole.ok) return whole;
  if (expected === 1) return refuse(extra.start, `Nothing may follow \`${first.text}\`.`);
  return refuse(
    extra.start,
    `This schedule has ${words.length} fields; crontab takes five: minute, hour, day of month, month, day of week. Leave out seconds and year.`,
  );
}

/** Parses the words that a line gives to its schedule: one macro or up to five fields. */
export function parseWords(words: readonly Word[]): ScheduleResult {
  const [first] = words;
  if (first?.text.startsWith('@')) return parseMacro(first);
  const sets: FieldSet[] = [];
  for (const [index, field] of fields.entries()) {
    const word = words[index];
    if (word === undefined) {
      const last = words.at(-1);
      const end = last === undefined ? 0 : last.start + last.text.length;
      return refuse(
        end,
        `The ${field.name} is missing; a schedule has five fields: minute, hour, day of month, month, day of week.`,
      );
    }
    const set = parseField(word, field);
    if ('code' in set) return {ok: false, issue: set};
    sets.push(set);
  }
  const [minutes = none, hours = none, days = none, months = none, weekdays = none] = sets;
  const isStar = (index: number) => words[index]?.text.startsWith('*') === true;
  return {
    ok: true,
    schedule: {
      text: words.map(({text}) => text).join(' '),
      reboot: false,
      minutesLow: minutes.low,
      minutesHigh: minutes.high,
      hours: hours.low,
      days: days.low,
      months: months.low,
      // Sunday as the seventh day is Sunday.
      weekdays: (weekdays.low | (weekdays.low >>> 7)) & 0x7f,
      dayRule: isStar(2) || isStar(4) ? 'both' : 'either',
      wildcard: isStar(0) || isStar(1),
    },
  };
}

/** Ascending. */
export function minutesOf({minutesLow, minutesHigh}: Schedule): number[] {
  return [...valuesOf(minutesLow, 0, 31), ...valuesOf(minutesHigh, 0, 27).map((minute) => minute + 32)];
}

/** Ascending. */
export function hoursOf({hours}: Schedule): number[] {
  return valuesOf(hours, 0, 23);
}

/** Words between blanks and tabs, at most `limit` of them. Other white space is part of a word, as in cron. */
export function splitWords(text: string, limit = 16): Word[] {
  const words: Word[] = [];
  for (let at = 0; at < text.length && words.length < limit; ) {
    if (isBlank(text, at)) {
      at += 1;
      continue;
    }
    const start = at;
    while (at < text.length && !isBlank(text, at)) at += 1;
    words.push({text: text.slice(start, at), start});
  }
  return words;
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 0x20 || code === 0x09;
}

/** The text of a schedule with a macro written out: `@hourly` and `0 * * * *` say the same. */
export function writtenOut({text}: Schedule): string {
  return Object.hasOwn(macros, text) ? (macros[text] ?? text) : text;
}

function parseMacro({text, start}: Word): ScheduleResult {
  if (text === '@reboot') return {ok: true, schedule: rebootSchedule};
  const fiveFields = Object.hasOwn(macros, text) ? macros[text] : undefined;
  if (fiveFields !== undefined) {
    const result = parseWords(splitWords(fiveFields));
    return result.ok ? {ok: true, schedule: {...result.schedule, text}} : result;
  }
  const known = `${Object.keys(macros).join(', ')} and @reboot`;
  const lower = text.toLowerCase();
  const fix =
    Object.hasOwn(macros, lower) || lower === '@reboot' ? `write \`${lower}\`` : `known are ${known}`;
  return refuse(start, `\`${shorten(text)}\` is not a macro; ${fix}.`);
}

const rebootSchedule: Schedule = {
  text: '@reboot',
  reboot: true,
  minutesLow: 0,
  minutesHigh: 0,
  hours: 0,
  days: 0,
  months: 0,
  weekdays: 0,
  dayRule: 'both',
  wildcard: false,
};

/** `high` holds the values from 32, as 0 and up. */
interface FieldSet {
  readonly low: BitSet;
  readonly high: BitSet;
}

const none: FieldSet = {low: 0, high: 0};

function parseField(word: Word, field: Field): FieldSet | ScheduleIssue {
  let low = 0;
  let high = 0;
  let start = word.start;
  for (const item of word.text.split(',')) {
    const result = parseItem(item, field);
    if (typeof result === 'string') return issue(start, `The ${field.name} field: ${result}`);
    for (let value = result.first; value <= result.last; value += result.step) {
      if (value < 32) low |= 1 << value;
      else high |= 1 << (value - 32);
    }
    start += item.length + 1;
  }
  return {low, high};
}

/** One item of a list as a stepped range, or a sentence that says what is wrong with it. */
function parseItem(item: string, field: Field): {first: number; last: number; step: number} | string {
  const shown = `\`${shorten(item)}\``;
  if (item === '') return 'a list has an empty item; remove the extra comma.';
  const foreign = /[?LW#~]/.exec(item);
  const [range = '', stepText, ...more] = item.split('/');
  if (more.length > 0) return `${shown} has more than one step; write one \`/\`.`;
  const [from = '', to, ...rest] = range.split('-');
  if (rest.length > 0) return `${shown} is not a range; write \`first-last\`.`;

  let step = 1;
  if (stepText !== undefined) {
    if (!/^\d+$/.test(stepText)) return `the step of ${shown} is not a number of at least 1.`;
    step = Number(stepText);
    if (step === 0) return `the step of ${shown} is 0; it must be at least 1.`;
  }
  if (range === '*') return {first: field.first, last: field.name === 'day of week' ? 6 : field.last, step};

  const first = parseValue(from, field);
  if (first === null) return notAValue(from, field, foreign?.[0]);
  if (to === undefined) {
    if (stepText !== undefined) {
      return `${shown} puts a step on a single value; write \`${from}-${field.last}/${stepText}\` or \`*/${stepText}\`.`;
    }
    return {first, last: first, step: 1};
  }
  const last = parseValue(to, field);
  if (last === null) return notAValue(to, field, foreign?.[0]);
  // `fri-sun` means 5-7: as the end of a range Sunday is the seventh day.
  const end = field.name === 'day of week' && last === 0 && first > 0 && /^sun$/i.test(to) ? 7 : last;
  if (end < first) {
    return `the range ${shown} is reversed; write \`${to}-${from}\`, or two ranges such as \`${from}-${field.last},${field.first}-${to}\`.`;
  }
  return {first, last: end, step};
}

function parseValue(text: string, field: Field): number | null {
  if (/^\d+$/.test(text)) {
    const value = Number(text);
    return value >= field.first && value <= field.last ? value : null;
  }
  const index = field.names.indexOf(text.toLowerCase());
  return index === -1 ? null : field.first + index;
}

function notAValue(text: string, field: Field, foreign: string | undefined): string {
  const names = field.names.length === 0 ? '' : ` or ${field.names[0]}-${field.names.at(-1)}`;
  const allowed = `${field.first}-${field.last}${names}`;
  const shown = text === '' ? 'an empty value' : `\`${shorten(text)}\``;
  if (text === '?') return '`?` is not crontab(5); write `*`.';
  if (foreign !== undefined && text.includes(foreign)) {
    return `${shown} uses \`${foreign}\`, which crontab(5) does not have; use ${allowed}.`;
  }
  const strange = /[^\x21-\x7e]/u.exec(text);
  if (strange !== null) {
    const code = (strange[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return `it holds the character U+${code}; write plain digits and separate fields by blanks or tabs.`;
  }
  const name = field.names.find((known) => text.toLowerCase().startsWith(known));
  if (name !== undefined) return `${shown} is not a name; write \`${name}\`.`;
  return `${shown} is not one of ${allowed}.`;
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function issue(start: number, message: string): ScheduleIssue {
  return {column: start + 1, code: 'schedule_invalid', message};
}

function refuse(start: number, message: string): ScheduleResult {
  return {ok: false, issue: issue(start, message)};
}
