import {createRequire} from 'node:module';

/**
 * Bundles `entry` with everything it imports into `directory`, as `<name of the entry>.js` and the native
 * libraries it needs. Throws an AggregateError with the bundler's messages.
 */
export async function bundleProgram({entry, directory}: {entry: string; directory: string}): Promise<void> {
  await Bun.build({
    entrypoints: [entry],
    outdir: directory,
    target: 'bun',
    minify: true,
    sourcemap: 'linked',
    naming: {entry: '[name].[ext]', asset: '[name].[ext]'},
    loader: {'.node': 'file'},
    plugins: [
      {
        name: 'parser-binding',
        setup(build) {
          build.onResolve({filter: /^branchtab:parser-binding$/}, () => ({path: parserBindingPath()}));
        },
      },
    ],
  });
}

/** The native library that npm installed for this platform, found as the parser itself would find it. */
function parserBindingPath(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('oxc-parser'));
  const platform =
    process.platform === 'linux' ? `linux-${process.arch}-gnu` : `${process.platform}-${process.arch}`;
  return require.resolve(`@oxc-parser/binding-${platform}/parser.${platform}.node`);
}
