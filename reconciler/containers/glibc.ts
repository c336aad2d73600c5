import {AppError} from '../../schemas/errors.ts';

/** Where programs for glibc expect its loader, by architecture. */
const loaders: Readonly<Record<string, string>> = {
  x64: '/lib64/ld-linux-x86-64.so.2',
  arm64: '/lib/ld-linux-aarch64.so.1',
};

const muslLoaders = ['/lib/ld-musl-x86_64.so.1', '/lib/ld-musl-aarch64.so.1'];

/**
 * Throws IMAGE_UNUSABLE where the runtime cannot be started in an image, which the kernel would only call a missing
 * file. `setting` is where the image is named.
 */
export async function requireGlibc(
  {reference, setting}: {readonly reference: string; readonly setting: string},
  hasFile: (path: string) => Promise<boolean>,
): Promise<void> {
  const loader = loaders[process.arch] ?? '';
  if (await hasFile(loader)) return;
  const found = await Promise.all(muslLoaders.map(hasFile));
  const reason = found.includes(true) ? 'it has musl instead' : `there is no ${loader}`;
  throw new AppError(
    'IMAGE_UNUSABLE',
    `Containers need an image with glibc, and ${reference} has none: ${reason}. Use one of Debian, Ubuntu or Fedora, not Alpine, in \`${setting}\` of branchtab.yaml.`,
  );
}
