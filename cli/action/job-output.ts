import {randomUUID} from 'node:crypto';
import {appendFile} from 'node:fs/promises';
import type {Issue} from '../../schemas/issue.ts';
import type {Environment} from '../settings.ts';

/** What a step tells GitHub: outputs, the summary of the job, marks on lines, words in the log. */
export interface JobOutput {
  set(name: string, value: string): Promise<void>;
  /** Markdown. */
  summarize(text: string): Promise<void>;
  annotate(level: 'error' | 'warning', issue: Issue): void;
  error(message: string): void;
  warning(message: string): void;
  notice(message: string): void;
  say(message: string): void;
  /** The value appears in no log from here on. */
  hide(value: string): void;
}

/** GitHub takes 1 MiB of each, and refuses more. */
const mostCharacters = 250_000;
const cut = (text: string) =>
  text.length <= mostCharacters ? text : `${text.slice(0, mostCharacters)}\n\n(cut off here)\n`;

/** Where GitHub names no files, as on a machine of one's own, outputs are left out. */
export function createJobOutput(environment: Environment, write: (text: string) => void): JobOutput {
  const append = async (file: string | undefined, text: string) => {
    if (file !== undefined && file !== '') await appendFile(file, text);
  };
  const command = (name: string, properties: Readonly<Record<string, string>>, message: string) => {
    const written = Object.entries(properties)
      .map(([key, value]) => `${key}=${property(value)}`)
      .join(',');
    write(`::${name}${written === '' ? '' : ` ${written}`}::${data(message)}\n`);
  };
  return {
    async set(name, value) {
      // Nothing that the value holds can end it.
      const end = `end-${randomUUID()}`;
      await append(environment.GITHUB_OUTPUT, `${name}<<${end}\n${cut(value)}\n${end}\n`);
    },
    summarize: (text) => append(environment.GITHUB_STEP_SUMMARY, `${cut(text)}\n`),
    annotate: (level, {file, line, column, code, message}) =>
      command(level, {file, line: String(line), col: String(column), title: code}, message),
    error: (message) => command('error', {}, message),
    warning: (message) => command('warning', {}, message),
    notice: (message) => command('notice', {}, message),
    say: (message) => write(`${data(message)}\n`.replace(/^::/, ' ::')),
    hide: (value) => command('add-mask', {}, value),
  };
}

/** A line that begins with two colons is a command: text from elsewhere must begin no line. */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
