import {createHash} from 'node:crypto';

/**
 * An address of 127.64.0.0/10 that `taken` does not hold, the same for the same id while it is free.
 * Last numbers 0 and 255 are left out, because some programs take them for network and broadcast.
 */
export function loopbackAddress(id: string, taken: ReadonlySet<string>): string {
  for (let attempt = 0; ; attempt += 1) {
    const [a = 0, b = 0, c = 0] = createHash('sha256').update(`${id} ${attempt}`).digest();
    const address = `127.${64 + (a % 64)}.${b}.${1 + (c % 254)}`;
    if (!taken.has(address)) return address;
  }
}
