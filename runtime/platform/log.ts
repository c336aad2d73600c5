/** Structured log: one JSON object a line. Values of secrets, tokens and headers never belong into `fields`. */
export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

export type LogLevel = 'info' | 'warn' | 'error';

/** Writes each record through `write` as one line. */
export function createLog(write: (line: string) => void, now: () => number): Log {
  const record =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      const own = {time: new Date(now()).toISOString(), level, message};
      write(`${JSON.stringify({...own, ...plain(fields), ...own})}\n`);
    };
  return {info: record('info'), warn: record('warn'), error: record('error')};
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
