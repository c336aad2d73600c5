import {AppError} from '../../schemas/errors.ts';

export interface Unready {
  /** Of the container. */
  readonly name: string;
  /** For people: the end of what it wrote, or where that stands. */
  readonly said: string;
}

/** `line` is the first one, which is no ready line: undefined where none came in time, null where the output ended before. */
export function noReadyLine(
  line: string | null | undefined,
  {name, said, timeoutMs}: Unready & {readonly timeoutMs: number},
): AppError {
  const silence =
    line === undefined ? `said nothing within ${timeoutMs / 1000} s` : 'ended before it was ready';
  return unready({name, said}, line ? 'wrote something else than its ready line' : silence);
}

/** For a runtime whose ready line names a process that its container does not have. */
export function foreignProcess(pid: number, {name, said}: Unready): AppError {
  return unready({name, said}, `says it is process ${pid}, which is none of its container`);
}

function unready({name, said}: Unready, how: string): AppError {
  return new AppError('PROVIDER_UNAVAILABLE', `The runtime of ${name} ${how}. ${said}`);
}
