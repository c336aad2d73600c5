import {join} from 'node:path';
import {pausedBoot} from '../schemas/control.ts';
import {readTextIfPresent, writeFileDurably} from './platform/durable-file.ts';

/** Which start of its container this is; null where nobody says. */
export async function readBoot({
  boot,
  bootFile,
}: {
  readonly boot: string | null;
  /** Holds it where it is not null. */
  readonly bootFile: string | null;
}): Promise<string | null> {
  return bootFile === null ? boot : ((await readTextIfPresent(bootFile))?.trim() ?? null);
}

/** Whoever started it lets no job run before the schedule is released again. */
export function startsPaused(boot: string | null): boolean {
  return boot?.startsWith(pausedBoot) ?? false;
}

/** A restart after a crash has the same id; then `@reboot` lines have had their run. Remembers it. */
export async function isNewBoot({data}: {readonly data: string}, boot: string | null): Promise<boolean> {
  if (boot === null) return true;
  const path = join(data, 'boot');
  if ((await readTextIfPresent(path)) === boot) return false;
  await writeFileDurably(path, boot);
  return true;
}
