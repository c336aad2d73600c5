import {createHash} from 'node:crypto';
import {join} from 'node:path';
import {kindOf, listNames} from '../../../runtime/platform/directories.ts';
import {lstat, readFile} from '../../../runtime/platform/files.ts';
import {AppError} from '../../../schemas/errors.ts';
import {inside} from '../inside.ts';
import type {Incus, InstanceSpec, Settings, VolumePlace} from './incus.ts';
import {ownerKey} from './instance-config.ts';

const completeKey = 'user.branchtab.complete';

export interface RuntimeVolumeOptions {
  readonly incus: Incus;
  readonly owner: string;
  readonly pool: string;
  readonly runtimeDirectory: string;
  /** Where it is needed. */
  readonly member: string | null;
  /** Of an instance that only waits; it carries the files there and is removed afterwards. */
  readonly carrier: {
    readonly name: string;
    readonly spec: InstanceSpec;
    readonly start: () => Promise<void>;
    readonly remove: () => Promise<void>;
  };
}

/** The volume of this runtime on a member. Its containers mount it, so that they share one file each. */
export function runtimeVolume({
  owner,
  pool,
  runtimeDirectory,
  member,
}: Pick<RuntimeVolumeOptions, 'owner' | 'pool' | 'runtimeDirectory' | 'member'>): VolumePlace {
  const name = createHash('sha256').update(`${owner} ${runtimeDirectory}`).digest('hex').slice(0, 16);
  return {pool, name: `bt-runtime-${name}`, member};
}

export function volumeDevice({pool, name}: VolumePlace): Settings {
  return {type: 'disk', pool, source: name, path: inside.runtimeDirectory};
}

/** Puts the files of the runtime into its volume, unless they are there whole. */
export async function fillRuntimeVolume(options: RuntimeVolumeOptions): Promise<void> {
  const {incus, owner, runtimeDirectory, carrier} = options;
  const volume = runtimeVolume(options);
  if ((await incus.findVolume(volume))?.[completeKey] === 'true') return;
  await incus.createVolume(volume, {[ownerKey]: owner});
  const {spec} = carrier;
  try {
    await incus.createInstance(carrier.name, {
      ...spec,
      devices: {...spec.devices, runtime: volumeDevice(volume)},
    });
    await carrier.start();
    for (const name of await listNames(runtimeDirectory)) {
      const path = join(runtimeDirectory, name);
      if ((await kindOf(path)) !== 'file')
        throw new AppError('PROVIDER_UNAVAILABLE', `${path} cannot be carried to another machine.`);
      const mode = (await lstat(path)).mode & 0o100 ? '0755' : '0644';
      await incus.writeFile(carrier.name, join(inside.runtimeDirectory, name), await readFile(path), {mode});
    }
  } finally {
    await carrier.remove();
  }
  await incus.configureVolume(volume, {[completeKey]: 'true'});
}
