import {AppError} from '../../../schemas/errors.ts';
import type {Engine, Labels} from './engine.ts';

/** Where programs for glibc expect its loader, by architecture. */
const loaders: Readonly<Record<string, string>> = {
  x64: '/lib64/ld-linux-x86-64.so.2',
  arm64: '/lib/ld-linux-aarch64.so.1',
};

const muslLoaders = ['/lib/ld-musl-x86_64.so.1', '/lib/ld-musl-aarch64.so.1'];

/**
 * Throws IMAGE_UNUSABLE where the runtime cannot be started in an image, which the kernel would only call a missing
 * file. Looks into a container that is never started and is gone afterwards.
 */
export async function requireGlibc(
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
    const loader = loaders[process.arch] ?? '';
    if (await engine.hasFile(id, loader)) return;
    const found = await Promise.all(muslLoaders.map((path) => engine.hasFile(id, path)));
    const reason = found.includes(true) ? 'it has musl instead' : `there is no ${loader}`;
    throw new AppError(
      'IMAGE_UNUSABLE',
      `Containers need an image with glibc, and ${reference} has none: ${reason}. Use one of Debian, Ubuntu or Fedora, not Alpine, in \`docker.image\` of branchtab.yaml.`,
    );
  } finally {
    await engine.remove(id);
  }
}
