import {parseWords, type Schedule, splitWords} from '../schedule/parse.ts';
import {type Assignment, readAssignment} from './environment.ts';
import {disabledPrefix, type Metadata, metadataPrefix, readMetadata} from './managed.ts';

/** What one line says, read alone. `column` counts UTF-16 code units from 1. */
export type LineContent =
  | {readonly kind: 'blank'}
  | {readonly kind: 'comment'}
  | ({readonly kind: 'environment'; readonly valueColumn: number} & Assignment)
  | ({readonly kind: 'rule' | 'disabled'} & Rule)
  | {readonly kind: 'metadata'; readonly metadata: Metadata}
  | {readonly kind: 'name'; readonly name: string; readonly column: number}
  | ({readonly kind: 'invalid'} & LineIssue);

export interface Rule {
  readonly schedule: Schedule;
  /** Everything after the schedule, `%` and `\%` as written. */
  readonly commandText: string;
}

export interface LineIssue {
  readonly column: number;
  readonly code: string;
  readonly message: string;
}

const optionPrefix = '# branchtab:';

/** A word that people who come from schedulers with six fields write where the command begins. */
const sixthField = /^(?:[*?](?:\/\d+)?|(?:sun|mon|tue|wed|thu|fri|sat)[-,](?:sun|mon|tue|wed|thu|fri|sat))$/i;

/** `content` is the line without its end. */
export function readLine(content: string): LineContent {
  const forbidden = /\0|\p{Surrogate}/u.exec(content);
  if (forbidden !== null) {
    const message = 'The line holds a NUL or half a character; remove it.';
    return invalid(forbidden.index, 'character_forbidden', message);
  }
  const start = content.search(/[^ \t]/);
  if (start === -1) return {kind: 'blank'};
  if (content[start] === '#') return readComment(content.slice(start), start);
  const assignment = readAssignment(content);
  if (typeof assignment === 'string')
    return invalid(start, 'environment_invalid', `No variable is set: ${assignment}`);
  if (assignment !== null) return {kind: 'environment', valueColumn: content.indexOf('=') + 2, ...assignment};
  return readRule(content, 'rule');
}

function readComment(comment: string, start: number): LineContent {
  if (comment.startsWith(optionPrefix)) return readOption(comment, start);
  if (comment.startsWith(disabledPrefix)) {
    const rule = readRule(comment.slice(disabledPrefix.length), 'disabled');
    return rule.kind === 'invalid' ? {kind: 'comment'} : rule;
  }
  if (!comment.startsWith(metadataPrefix)) return {kind: 'comment'};
  const result = readMetadata(comment.slice(metadataPrefix.length));
  if (result.kind === 'metadata') return result;
  if (result.kind === 'unreadable') return {kind: 'comment'};
  const message = `\`${result.key}=\` stands twice in one line; keep one.`;
  return invalid(start + comment.lastIndexOf(`${result.key}=`), 'duplicate_key', message);
}

function readOption(comment: string, start: number): LineContent {
  const match = /^# branchtab:[ \t]*name=([A-Za-z0-9][A-Za-z0-9._-]{0,63})[ \t]*$/.exec(comment);
  const column = start + optionPrefix.length;
  if (match !== null)
    return {kind: 'name', name: match[1] ?? '', column: start + comment.indexOf('name=') + 1};
  const message =
    'Known is `# branchtab: name=<name>` with up to 64 letters, digits, `.`, `_` and `-`; the name is for the line below.';
  return invalid(column, 'option_invalid', message);
}

/** The schedule is one macro or five words; the command is the rest of the line, its inner blanks kept. */
function readRule(content: string, kind: 'rule' | 'disabled'): LineContent {
  const words = splitWords(content, 6);
  const count = words[0]?.text.startsWith('@') ? 1 : 5;
  const result = parseWords(words.slice(0, count));
  if (!result.ok) return {kind: 'invalid', ...result.issue};
  const command = words[count];
  if (command === undefined) {
    return invalid(content.length, 'command_missing', 'The command is missing; write it after the schedule.');
  }
  if (count === 5 && sixthField.test(command.text)) {
    const message = `\`${command.text}\` looks like a sixth field; crontab has five and then the command. Leave out seconds and year.`;
    return invalid(command.start, 'schedule_invalid', message);
  }
  return {kind, schedule: result.schedule, commandText: content.slice(command.start)};
}

function invalid(start: number, code: string, message: string): LineContent {
  return {kind: 'invalid', column: start + 1, code, message};
}
