import {requireGlibc} from '../glibc.ts';
import type {Engine, Labels} from './engine.ts';

/** Throws IMAGE_UNUSABLE. Looks into a container that is never started and is gone afterwards. */
export async function requireGlibcInImage(
  engine: Engine,
  {
    reference,
    image,
    name,
    labels,
  }: {readonly reference: string; readonly image: string; readonly name: string; readonly labels: Labels},
): Promise<void> {
  const id = await engine.createContainer(name, {
    image,
    command: ['/nothing'],
    env: {},
    user: '0:0',
    workingDirectory: '/',
    hostName: 'probe',
    labels,
    mounts: [],
    localNames: [],
    network: 'none',
    capabilities: [],
    limits: {cpus: null, memoryBytes: null},
  });
  try {
    await requireGlibc({reference, setting: 'docker.image'}, (path) => engine.hasFile(id, path));
  } finally {
    await engine.remove(id);
  }
}
