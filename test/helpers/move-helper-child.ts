import {readdir} from 'node:fs/promises';
import {createMoveHelper} from '../../runtime/platform/move-helper.ts';

/**
 * A process of its own, so that its descriptors are nobody else's: calls a helper by the program that is named and lets it
 * go, so many times. Prints `back` each time that as many descriptors are open as before the first.
 */
const [program = '', times = '1'] = process.argv.slice(2);
const bytes = 1024 * 1024;
const isUsable = program !== '/nowhere.ts';
const open = async () => (await readdir('/proc/self/fd')).length;

// The first write keeps a descriptor.
process.stdout.write('here\n');
const before = await open();
const helper = createMoveHelper({program, pipeBytes: 65_536, fromBytes: 8 * bytes, idleMs: 50});
for (let time = 0; time < Number(times); time += 1) {
  while (helper.forMove(8, bytes) === null && isUsable) await Bun.sleep(1);
  if (isUsable && (await open()) <= before) throw new Error('nobody came');
  while ((await open()) > before) await Bun.sleep(1);
  if (helper.forMove(4, bytes) !== null) throw new Error('nobody left');
  process.stdout.write('back\n');
}
