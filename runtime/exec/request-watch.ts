import type {LogOptions} from './script-options.ts';

/** Keeps the beginning of a request's body for its record, as it is read by others. */
export interface RequestWatch {
  note(bytes: Uint8Array): void;
  /** What is to be recorded so far: null where there is no body, or the script does not ask for it. */
  recorded(): string | null;
}

export function watchRequestBody(
  hasBody: boolean,
  {level, requestBody, maxBodyBytes}: LogOptions,
): RequestWatch {
  const isWhole = requestBody === 'full' || level === 'debug';
  if (!hasBody || (requestBody === 'off' && !isWhole)) return unwatched;
  const kept: Uint8Array[] = [];
  let bytes = 0;
  return {
    note(chunk) {
      if (isWhole && bytes < maxBodyBytes) kept.push(chunk.subarray(0, maxBodyBytes - bytes));
      bytes += chunk.length;
    },
    recorded: () => (isWhole ? Buffer.concat(kept).toString('utf8') : `[${bytes} bytes]`),
  };
}

const unwatched: RequestWatch = {note() {}, recorded: () => null};
