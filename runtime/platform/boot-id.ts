import {readTextIfPresent} from './durable-file.ts';

/** Changes with every boot of the host, so that process ids of an earlier boot are never believed. `unknown` off Linux. */
export async function readBootId(): Promise<string> {
  const text = await readTextIfPresent('/proc/sys/kernel/random/boot_id');
  return text?.trim() ?? 'unknown';
}
