import {AppError} from '../../schemas/errors.ts';
import type {Execution, ExecutionEvent, ExecutionList} from '../../schemas/execution.ts';
import type {ExecutionStatus} from '../../schemas/execution-status.ts';
import {nextTurn} from '../platform/clock.ts';
import type {ExecutionRecorder} from './execution-recorder.ts';
import type {ExecutionFilter, ExecutionStore} from './execution-store.ts';

export type ExecutionQuery = Omit<ExecutionFilter, 'after'> & {readonly cursor: string | null};

export interface FollowFilter {
  readonly id: string | null;
  readonly script: string | null;
  readonly status: ExecutionStatus | null;
}

/** The records of calls, as they are asked for. */
export interface Executions {
  list(query: ExecutionQuery): ExecutionList;
  /**
   * The same of those whose output or error holds `search`, in either case. Looks at a few thousand records, and gives
   * way to others meanwhile: with few finds a page is short, or empty, and `next_cursor` leads on.
   */
  search(query: ExecutionQuery & {readonly search: string}): Promise<ExecutionList>;
  /** Throws EXECUTION_NOT_FOUND. */
  get(id: string): Execution;
  /** Null where nothing is kept of the call. */
  find(id: string): Execution | null;
  /**
   * Calls from now on, as they begin, print and end; of one call also what there is, and the stream ends with
   * it. Ends early when `signal` aborts. Throws EXECUTION_NOT_FOUND.
   */
  follow(filter: FollowFilter, signal: AbortSignal): AsyncGenerator<ExecutionEvent>;
}

const mostSearched = 2000;
const searchedPerTurn = 50;

/** Events that wait for a slow reader; what comes beyond them is left out for this reader. */
const mostWaiting = 1000;

export function createExecutions(recorder: ExecutionRecorder, openStore: () => ExecutionStore): Executions {
  const find = (id: string) => recorder.recent(id) ?? openStore().get(id);

  function get(id: string): Execution {
    const execution = find(id);
    if (execution !== null) return execution;
    throw new AppError('EXECUTION_NOT_FOUND', `No record of a call \`${id.slice(0, 64)}\`.`);
  }

  function list({cursor, ...query}: ExecutionQuery): ExecutionList {
    // Cheaper than to search what waits to be written beside what is.
    recorder.flush();
    const found = openStore().list({...query, after: decodeCursor(cursor), limit: query.limit + 1});
    const items = found.slice(0, query.limit);
    const last = items.at(-1);
    const next_cursor = found.length > items.length && last !== undefined ? encodeCursor(last) : null;
    return {items, next_cursor};
  }

  return {
    get,
    find,
    list,
    async search({search, limit, ...query}) {
      const wanted = search.toLowerCase();
      const items: Execution[] = [];
      let {cursor} = query;
      for (let looked = 0; looked < mostSearched; looked += searchedPerTurn) {
        const page = list({...query, cursor, limit: searchedPerTurn});
        for (const execution of page.items) {
          if (printed(execution).toLowerCase().includes(wanted)) items.push(execution);
          if (items.length === limit) return {items, next_cursor: encodeCursor(execution)};
        }
        cursor = page.next_cursor;
        if (cursor === null) break;
        await nextTurn();
      }
      return {items, next_cursor: cursor};
    },
    follow(filter, signal) {
      const {id} = filter;
      return followEvents(recorder, filter, () => (id === null ? null : get(id)), signal);
    },
  };
}

function printed({stdout, stderr, error}: Execution): string {
  return `${stdout}\n${stderr}\n${error?.message ?? ''}`;
}

async function* followEvents(
  recorder: ExecutionRecorder,
  {id, script, status}: FollowFilter,
  present: () => Execution | null,
  signal: AbortSignal,
): AsyncGenerator<ExecutionEvent> {
  const first = present();
  const waiting: ExecutionEvent[] = first === null ? [] : eventsOf(first);
  let leftOut = 0;
  let wake = () => {};
  const scripts = new Map<string, boolean>();

  const isWanted = (event: ExecutionEvent): boolean => {
    if (event.type === 'gap') return true;
    if (event.type === 'output') return id === null ? scripts.get(event.id) !== false : event.id === id;
    const {execution} = event;
    if (id !== null) return execution.id === id;
    const fits = script === null || execution.script === script;
    if (event.type === 'start') scripts.set(execution.id, fits);
    else scripts.delete(execution.id);
    return fits && (status === null || (event.type === 'end' && execution.status === status));
  };
  const unsubscribe = recorder.subscribe((event) => {
    if (!isWanted(event)) return;
    if (waiting.length >= mostWaiting) leftOut += 1;
    else waiting.push(event);
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      const event = waiting.shift();
      if (event !== undefined) {
        yield event;
        if (event.type === 'end' && id !== null) return;
      } else if (leftOut > 0) {
        yield {type: 'gap', events: leftOut};
        leftOut = 0;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', onAbort);
  }
}

/** What a call has to show so far. */
function eventsOf(execution: Execution): ExecutionEvent[] {
  const {id, stdout, stderr} = execution;
  return [
    {type: 'start', execution},
    ...(stdout === '' ? [] : [{type: 'output', id, stream: 'stdout', text: stdout} as const]),
    ...(stderr === '' ? [] : [{type: 'output', id, stream: 'stderr', text: stderr} as const]),
    ...(execution.status === 'running' ? [] : [{type: 'end', execution} as const]),
  ];
}

function encodeCursor({started_at, id}: Execution): string {
  return Buffer.from(JSON.stringify([Date.parse(started_at), id])).toString('base64url');
}

function decodeCursor(cursor: string | null): ExecutionFilter['after'] {
  if (cursor === null) return null;
  const [, startedMs, id] =
    /^\[(\d{1,16}),"([^"]{1,64})"\]$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (startedMs === undefined || id === undefined)
    throw new AppError('INVALID_PAGINATION', 'The cursor is not one of ours; begin again without it.');
  return {startedMs: Number(startedMs), id};
}
