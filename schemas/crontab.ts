import {readCommand} from './crontab/command.ts';
import {type KnownSchedules, type LineContent, type OptionLine, readLine} from './crontab/line.ts';
import {disabledPrefix, type Metadata, metadataPrefix, optionsOf} from './crontab/managed.ts';
import {type JobOptions, plainOptions} from './crontab/options.ts';
import type {Issue, TextIssue} from './issue.ts';
import type {Schedule} from './schedule/parse.ts';
import {isTimeZone} from './schedule/zone.ts';

export const crontabLimits = {maxBytes: 256 * 1024, maxLines: 10_000, maxVariables: 1000} as const;

export interface CrontabLine {
  readonly kind: LineContent['kind'];
  /** Every character of the line, its end included. */
  readonly text: string;
  /** Index in `jobs` of the managed entry that the line belongs to; null for a raw line. */
  readonly managedJob: number | null;
}

export interface CrontabJob {
  /** Of the rule, counted from 1. */
  readonly line: number;
  readonly schedule: Schedule;
  readonly command: string;
  /** null without an unescaped `%`; see `readCommand`. */
  readonly stdin: string | null;
  /** Variables of the lines above; one object is shared by all jobs with the same variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** By its options, else by `CRON_TZ` or, without it, `TZ` of the lines above; null for the default zone. */
  readonly timeZone: string | null;
  /** From `# branchtab: name=...` above a raw rule. */
  readonly givenName: string | null;
  /** From the comment above a raw rule or the metadata of a managed one. */
  readonly options: JobOptions;
  /** Everything after the schedule as written. */
  readonly commandText: string;
  /** null for a raw rule. */
  readonly managed: Metadata | null;
  /** False for a managed entry whose rule is commented out. */
  readonly enabled: boolean;
}

export interface Crontab {
  readonly lines: readonly CrontabLine[];
  readonly jobs: readonly CrontabJob[];
  readonly issues: readonly Issue[];
  /** Variables in force below the last line. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface CrontabOptions {
  /** Name of the text in issues. */
  readonly file: string;
  /** False for the crontab of a branch: entries of the API are not a branch's to ship. */
  readonly managedAllowed: boolean;
}

/** Parses a whole crontab. Never throws; a line with an issue gives no job, the others still do. */
export function parseCrontab(text: string, {file, managedAllowed}: CrontabOptions): Crontab {
  const texts = splitLines(text);
  const tooLarge = crontabSizeProblem(text);
  if (tooLarge !== null) {
    const lines = texts.map((line) => ({kind: 'invalid' as const, text: line, managedJob: null}));
    const issue = {file, line: 1, column: 1, code: 'crontab_too_large', message: tooLarge};
    return {lines, jobs: [], issues: [issue], environment: {}};
  }
  const reader = new CrontabReader(managedAllowed);
  for (const line of texts) reader.add(line);
  const {lines, jobs, issues, environment} = reader;
  return {lines, jobs, issues: issues.map((issue) => ({file, ...issue})), environment};
}

/** The text that was parsed, byte for byte. */
export function printCrontab(lines: readonly CrontabLine[]): string {
  return lines.map(({text}) => text).join('');
}

/** Schedule and command as written, blanks between the fields normalised: the identity of a raw line. */
export function ruleOf({schedule, commandText}: Pick<CrontabJob, 'schedule' | 'commandText'>): string {
  return `${schedule.text} ${commandText}`;
}

/** What is left without the managed entries, byte for byte. */
export function rawText({lines}: Crontab): string {
  return printCrontab(lines.filter(({managedJob}) => managedJob === null));
}

/** A sentence for people where `text` exceeds a limit, else null. */
export function crontabSizeProblem(text: string): string | null {
  const {maxBytes, maxLines} = crontabLimits;
  if (text.length > maxBytes || new TextEncoder().encode(text).length > maxBytes) {
    return `The crontab is larger than ${maxBytes} bytes; make it smaller.`;
  }
  return countLines(text) > maxLines ? `The crontab has more than ${maxLines} lines; remove some.` : null;
}

/** Each line keeps its end; a text that ends with a newline has no empty line after it. */
function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function countLines(text: string): number {
  let count = text === '' || text.endsWith('\n') ? 0 : 1;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

function withoutEnd(line: string): string {
  if (!line.endsWith('\n')) return line.endsWith('\r') ? line.slice(0, -1) : line;
  return line.slice(0, line.endsWith('\r\n') ? -2 : -1);
}

/** Reads lines in order and holds what the lines above mean for the next. */
class CrontabReader {
  readonly lines: CrontabLine[] = [];
  readonly jobs: CrontabJob[] = [];
  readonly issues: TextIssue[] = [];
  environment: Readonly<Record<string, string>> = {};
  readonly #managedAllowed: boolean;
  readonly #zones = new Map<string, boolean>();
  readonly #schedules: KnownSchedules = new Map();
  readonly #names = new Set<string>();
  readonly #managedIds = new Set<string>();
  #variables = 0;
  /** What waits for the next raw rule. */
  #optionLine: OptionLine | null = null;
  /** Metadata that waits for its rule, with the index of its line. */
  #metadata: {readonly value: Metadata; readonly index: number} | null = null;

  constructor(managedAllowed: boolean) {
    this.#managedAllowed = managedAllowed;
  }

  add(text: string): void {
    const content = withoutEnd(text);
    const read = this.#read(content);
    const kind = this.#accept(read) ? read.kind : 'invalid';
    this.lines.push({kind, text, managedJob: null});
    if (kind === 'rule' || kind === 'disabled') this.#claimPair();
    else if (kind === 'environment' || kind === 'invalid') this.#metadata = null;
  }

  #read(content: string): LineContent {
    if (this.lines.length === 0 && content.startsWith('\uFEFF')) {
      const message = 'The file begins with a byte order mark; save it as plain UTF-8.';
      return {kind: 'invalid', column: 1, code: 'byte_order_mark', message};
    }
    if (!this.#managedAllowed) {
      const trimmed = content.replace(/^[ \t]+/, '');
      if (trimmed.startsWith(metadataPrefix) || trimmed.startsWith(disabledPrefix)) {
        const message =
          'Entries of the API do not belong into a file of a branch; write a plain crontab line.';
        return {kind: 'invalid', column: 1, code: 'managed_entry_in_branch', message};
      }
    }
    return readLine(content, this.#schedules);
  }

  /** Takes the line's meaning over; false where it has an issue. */
  #accept(read: LineContent): boolean {
    switch (read.kind) {
      case 'blank':
      case 'comment':
        return true;
      case 'invalid':
        return this.#refuse(read.column, read.code, read.message);
      case 'environment':
        return this.#assign(read);
      case 'metadata':
        this.#metadata = {value: read.metadata, index: this.lines.length};
        return true;
      case 'options':
        return this.#takeOptions(read);
      case 'rule':
        return this.#addJob(read.schedule, read.commandText, true);
      case 'disabled':
        // Without metadata above it is a comment like any other.
        return this.#metadata === null || this.#addJob(read.schedule, read.commandText, false);
    }
  }

  #takeOptions(line: OptionLine): boolean {
    const {name, options, columns} = line;
    if (this.#optionLine !== null) {
      const message = 'Options for the same line stand above already; write them into one comment.';
      return this.#refuse(1, 'duplicate_options', message);
    }
    if (name !== null && this.#names.has(name)) {
      const message = `The name \`${name}\` is taken by a line above.`;
      return this.#refuse(columns.get('name') ?? 1, 'duplicate_name', message);
    }
    if (options.timeZone !== null && !this.#isZone(options.timeZone)) {
      return this.#refuseZone(columns.get('timezone') ?? 1, options.timeZone);
    }
    if (name !== null) this.#names.add(name);
    this.#optionLine = line;
    return true;
  }

  #assign({name, value, valueColumn}: Extract<LineContent, {kind: 'environment'}>): boolean {
    if ((name === 'CRON_TZ' || name === 'TZ') && value !== '' && !this.#isZone(value)) {
      return this.#refuseZone(valueColumn, value);
    }
    if (!Object.hasOwn(this.environment, name)) this.#variables += 1;
    if (this.#variables > crontabLimits.maxVariables) {
      const message = `More than ${crontabLimits.maxVariables} variables are set; remove some.`;
      return this.#refuse(1, 'too_many_variables', message);
    }
    this.environment = {...this.environment, [name]: value};
    return true;
  }

  #addJob(schedule: Schedule, commandText: string, enabled: boolean): boolean {
    const managed = this.#metadata?.value ?? null;
    if (managed !== null && this.#managedIds.has(managed.id)) {
      return this.#refuse(
        1,
        'duplicate_id',
        `The managed entry ${managed.id} stands above already; keep one.`,
      );
    }
    if (managed !== null) this.#managedIds.add(managed.id);
    const options = managed === null ? (this.#optionLine?.options ?? plainOptions) : optionsOf(managed);
    if (options.timeZone !== null && !this.#isZone(options.timeZone)) {
      return this.#refuseZone(1, options.timeZone);
    }
    this.jobs.push({
      line: this.lines.length + 1,
      schedule,
      ...readCommand(commandText),
      environment: this.environment,
      timeZone: options.timeZone ?? (this.environment.CRON_TZ || this.environment.TZ || null),
      givenName: managed === null ? (this.#optionLine?.name ?? null) : null,
      options,
      commandText,
      managed,
      enabled,
    });
    if (managed === null) this.#optionLine = null;
    return true;
  }

  /** Gives the lines from the metadata to the rule that was just added to the rule's entry. */
  #claimPair(): void {
    if (this.#metadata === null) return;
    for (let index = this.#metadata.index; index < this.lines.length; index += 1) {
      const line = this.lines[index];
      if (line !== undefined) this.lines[index] = {...line, managedJob: this.jobs.length - 1};
    }
    this.#metadata = null;
  }

  #isZone(name: string): boolean {
    const known = this.#zones.get(name) ?? isTimeZone(name);
    this.#zones.set(name, known);
    return known;
  }

  #refuseZone(column: number, name: string): false {
    const message = `\`${name.slice(0, 64)}\` is not an IANA time zone; write one such as \`Europe/Berlin\` or \`UTC\`.`;
    return this.#refuse(column, 'time_zone_unknown', message);
  }

  #refuse(column: number, code: string, message: string): false {
    this.issues.push({line: this.lines.length + 1, column, code, message});
    return false;
  }
}
