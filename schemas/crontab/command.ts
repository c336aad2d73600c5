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

/** The program's base name without its extension: `/srv/jobs/sync-stripe.py --all` gives `sync-stripe`. */
export function derivedName(command: string): string | null {
  const program = command.split(/[ \t;|&()]+/).find((word) => word !== '' && !/^[A-Za-z_]\w*=/.test(word));
  const name = program
    ?.split('/')
    .at(-1)
    ?.replace(/(?<=.)\.[A-Za-z0-9]+$/, '');
  return name === undefined || !/^[\w.-]{1,64}$/.test(name) ? null : name;
}
