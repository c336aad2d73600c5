/** A script of the deployment. `compiled` is the cache file with its wrapped text, null for a module. */
export interface ScriptRef {
  /** Path below the scripts directory. */
  readonly file: string;
  readonly compiled: string | null;
}

/** What the runtime tells the script host of a call, beside the request itself. */
export interface Call {
  readonly executionId: string;
  /** Of the shared slots; 0 for none. */
  readonly slot: number;
  readonly script: ScriptRef;
  readonly pre: ScriptRef | null;
  readonly post: ScriptRef | null;
  readonly parameters: Readonly<Record<string, string | readonly string[]>>;
  /** Request target as the client sent it: path and query. */
  readonly target: string;
  readonly clientIp: string;
  /** What scripts are told of the method where it is not that of the request. */
  readonly method?: string;
  readonly rawBody: boolean;
  readonly awaitsPromises: boolean;
  /** Paths below the scripts directory, the farthest first. */
  readonly environmentFiles: readonly string[];
}

/** Header with the call of a websocket; only who reaches the host's socket can set it. */
export const callHeader = 'x-branchtab-call';
/** Of every answer of a script: the id of the call's record. */
export const executionHeader = 'x-execution-id';

/** JSON in which every character fits into a header. */
export function encodeCall(call: Call): string {
  return JSON.stringify(call).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Throws for what `encodeCall` did not write. The scripts themselves can reach the socket, and nobody else. */
export function decodeCall(header: unknown): Call {
  const call: unknown = JSON.parse(String(header));
  if (!isCall(call)) throw new TypeError('The request does not come from the runtime.');
  return call;
}

/** True for what the runtime says of a call. */
export function isCall(value: unknown): value is Call {
  return (
    typeof value === 'object' &&
    value !== null &&
    'executionId' in value &&
    'slot' in value &&
    typeof value.slot === 'number' &&
    'script' in value &&
    'target' in value &&
    typeof value.target === 'string'
  );
}
