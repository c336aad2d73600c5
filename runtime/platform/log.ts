import {writeSync} from 'node:fs';

/** Structured log: one JSON object a line. Values of secrets, tokens and headers never belong into `fields`. */
export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

export type LogLevel = 'info' | 'warn' | 'error';

/**
 * Writes each record through `write` as one line. A record that cannot be written, for example on a full disk,
 * is lost: a log must not end what it tells of.
 */
export function createLog(write: (line: string) => void, now: () => number): Log {
  const record =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      const own = {time: new Date(now()).toISOString(), level, message};
      try {
        write(`${JSON.stringify({...own, ...plain(fields), ...own})}\n`);
      } catch {
        // There is no other place to say so.
      }
    };
  return {info: record('info'), warn: record('warn'), error: record('error')};
}

/** Writes to standard error before it returns; throws where that cannot be written, unlike a stream, which ends the process. */
export function writeToStandardError(line: string): void {
  writeSync(2, line);
}

export const silentLog: Log = {info() {}, warn() {}, error() {}};

function plain(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof Error ? errorFields(value) : value,
    ]),
  );
}

function errorFields(error: Error): Record<string, unknown> {
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    ...(error.cause instanceof Error ? {cause: errorFields(error.cause)} : {}),
  };
}
