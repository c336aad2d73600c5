/** What follows the schedule on a crontab line, as cron reads it. */
export interface Command {
  /** Shell text up to the first unescaped `%`, with `\%` as `%`. */
  readonly command: string;
  /** null without an unescaped `%`; else what the job reads: `%` as newline, one final newline unless empty. */
  readonly stdin: string | null;
}

/** Splits at the first `%` that no backslash stands before. */
export function readCommand(text: string): Command {
  const percent = /(?<!\\)%/.exec(text);
  if (percent === null) return {command: unescapePercent(text), stdin: null};
  const input = text.slice(percent.index + 1).replace(/\\%|%/g, (match) => (match === '%' ? '\n' : '%'));
  return {
    command: unescapePercent(text.slice(0, percent.index)),
    stdin: input === '' || input.endsWith('\n') ? input : `${input}\n`,
  };
}

/** Writes shell text so that `readCommand` gives it back, without standard input. */
export function escapePercent(command: string): string {
  return command.replaceAll('%', '\\%');
}

function unescapePercent(text: string): string {
  return text.replaceAll('\\%', '%');
}
