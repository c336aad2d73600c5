import {parseWords, type Schedule, type ScheduleResult, splitWords, type Word} from '../schedule/parse.ts';
import {type Assignment, readAssignment} from './environment.ts';
import {disabledPrefix, type Metadata, metadataPrefix, readMetadata} from './managed.ts';
import {asOption, type JobOptions, optionKeys, plainOptions, readOption} from './options.ts';

/** What one line says, read alone. `column` counts UTF-16 code units from 1. */
export type LineContent =
  | {readonly kind: 'blank'}
  | {readonly kind: 'comment'}
  | ({readonly kind: 'environment'; readonly valueColumn: number} & Assignment)
  | ({readonly kind: 'rule' | 'disabled'} & Rule)
  | {readonly kind: 'metadata'; readonly metadata: Metadata}
  | ({readonly kind: 'options'} & OptionLine)
  | ({readonly kind: 'invalid'} & LineIssue);

export interface Rule {
  readonly schedule: Schedule;
  /** Everything after the schedule, `%` and `\%` as written. */
  readonly commandText: string;
}

/** What `# branchtab:` says about the raw rule below. */
export interface OptionLine {
  readonly name: string | null;
  readonly options: JobOptions;
  /** Column of each key in the line. */
  readonly columns: ReadonlyMap<string, number>;
}

export interface LineIssue {
  readonly column: number;
  readonly code: string;
  readonly message: string;
}

const optionPrefix = '# branchtab:';

/** A word that people who come from schedulers with six fields write where the command begins. */
const sixthField = /^(?:[*?](?:\/\d+)?|(?:sun|mon|tue|wed|thu|fri|sat)[-,](?:sun|mon|tue|wed|thu|fri|sat))$/i;

/** Schedules by their text; one object for all lines that say the same keeps a long crontab small. */
export type KnownSchedules = Map<string, Schedule>;

/** `content` is the line without its end. */
export function readLine(content: string, known: KnownSchedules): LineContent {
  if (!content.isWellFormed() || content.includes('\0')) {
    const message = 'The line holds a NUL or half a character; remove it.';
    return invalid(Math.max(0, content.search(/\0|\p{Surrogate}/u)), 'character_forbidden', message);
  }
  const start = content.search(/[^ \t]/);
  if (start === -1) return {kind: 'blank'};
  if (content[start] === '#') return readComment(content.slice(start), start, known);
  const assignment = readAssignment(content);
  if (typeof assignment === 'string')
    return invalid(start, 'environment_invalid', `No variable is set: ${assignment}`);
  if (assignment !== null) return {kind: 'environment', valueColumn: content.indexOf('=') + 2, ...assignment};
  return readRule(content, 'rule', known);
}

function readComment(comment: string, start: number, known: KnownSchedules): LineContent {
  if (comment.startsWith(optionPrefix)) return readOptions(comment, start);
  if (comment.startsWith(disabledPrefix)) {
    const rule = readRule(comment.slice(disabledPrefix.length), 'disabled', known);
    return rule.kind === 'invalid' ? {kind: 'comment'} : rule;
  }
  if (!comment.startsWith(metadataPrefix)) return {kind: 'comment'};
  const result = readMetadata(comment.slice(metadataPrefix.length));
  const valuesStart = start + metadataPrefix.length;
  switch (result.kind) {
    case 'metadata':
      return result;
    case 'unreadable':
      return {kind: 'comment'};
    case 'duplicate_key': {
      const message = `\`${result.key}=\` stands twice in one line; keep one.`;
      return invalid(valuesStart + result.start, 'duplicate_key', message);
    }
    case 'option_invalid':
      return invalid(valuesStart + result.start, 'option_invalid', result.message);
  }
}

function readOptions(comment: string, start: number): LineContent {
  const columns = new Map<string, number>();
  let name: string | null = null;
  let options = plainOptions;
  for (const {text, start: offset} of splitWords(comment.slice(optionPrefix.length), 64)) {
    const wordStart = start + optionPrefix.length + offset;
    const [, key = '', value = ''] = /^([a-z_]+)=(.*)$/.exec(text) ?? [];
    const option = asOption(key, value);
    if (option === null && key !== 'name') {
      const message = `\`${text.slice(0, 40)}\` is not an option; known are name=, ${optionKeys.map((known) => `${known}=`).join(', ')}.`;
      return invalid(wordStart, 'option_invalid', message);
    }
    const knownKey = option?.key ?? key;
    if (columns.has(knownKey)) {
      return invalid(wordStart, 'duplicate_key', `\`${knownKey}=\` stands twice in one line; keep one.`);
    }
    columns.set(knownKey, wordStart + 1);
    const valueStart = wordStart + key.length + 1;
    if (option === null) {
      if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value)) {
        const message =
          'A name has up to 64 letters, digits, `.`, `_` and `-` and begins with a letter or digit.';
        return invalid(valueStart, 'option_invalid', message);
      }
      name = value;
      continue;
    }
    const read = readOption(options, option.key, option.value);
    if (typeof read === 'string') return invalid(valueStart, 'option_invalid', `Not an option: ${read}`);
    options = read;
  }
  if (columns.size === 0) {
    const message =
      'No option is given; write, for example, `# branchtab: name=rollup timeout=10m overlap=forbid`.';
    return invalid(start + optionPrefix.length, 'option_invalid', message);
  }
  return {kind: 'options', name, options, columns};
}

/** The schedule is one macro or five words; the command is the rest of the line, its inner blanks kept. */
function readRule(content: string, kind: 'rule' | 'disabled', known: KnownSchedules): LineContent {
  const words = splitWords(content, 6);
  const count = words[0]?.text.startsWith('@') ? 1 : 5;
  const command = words[count];
  const text = content.slice(words[0]?.start ?? 0, command?.start);
  const result = readSchedule(text, words.slice(0, count), known);
  if (!result.ok) return {kind: 'invalid', ...result.issue};
  if (command === undefined) {
    return invalid(content.length, 'command_missing', 'The command is missing; write it after the schedule.');
  }
  if (count === 5 && sixthField.test(command.text)) {
    const message = `\`${command.text}\` looks like a sixth field; crontab has five and then the command. Leave out seconds and year.`;
    return invalid(command.start, 'schedule_invalid', message);
  }
  return {kind, schedule: result.schedule, commandText: content.slice(command.start)};
}

function readSchedule(text: string, words: readonly Word[], known: KnownSchedules): ScheduleResult {
  const schedule = known.get(text);
  if (schedule !== undefined) return {ok: true, schedule};
  const result = parseWords(words);
  if (result.ok) known.set(text, result.schedule);
  return result;
}

function invalid(start: number, code: string, message: string): LineContent {
  return {kind: 'invalid', column: start + 1, code, message};
}
