import {createRequire} from 'node:module';

/** How every form of the program is bundled: minified, with the script parser's native library beside or inside it. */
const program = {
  target: 'bun',
  minify: true,
  loader: {'.node': 'file'},
  plugins: [
    {
      name: 'parser-binding',
      setup(build) {
        build.onResolve({filter: /^branchtab:parser-binding$/}, () => ({path: parserBindingPath()}));
      },
    },
  ],
} satisfies Partial<Bun.BuildConfig>;

/**
 * Bundles `entry` with everything it imports into `directory`, as `<name of the entry>.js` and the native
 * libraries it needs. Throws an AggregateError with the bundler's messages.
 */
export async function bundleProgram({entry, directory}: {entry: string; directory: string}): Promise<void> {
  await Bun.build({
    ...program,
    entrypoints: [entry],
    outdir: directory,
    sourcemap: 'linked',
    naming: {entry: '[name].[ext]', asset: '[name].[ext]'},
  });
}

/**
 * Compiles `entry` with everything it imports, and Bun itself, into the executable `outfile`. The code is
 * translated ahead, so that it starts without being parsed. Throws an AggregateError with the bundler's messages.
 */
export async function compileProgram({entry, outfile}: {entry: string; outfile: string}): Promise<void> {
  await Bun.build({
    ...program,
    entrypoints: [entry],
    bytecode: true,
    compile: {outfile},
  });
}

/** The native library that npm installed for this platform, found as the parser itself would find it. */
function parserBindingPath(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('oxc-parser'));
  const platform =
    process.platform === 'linux' ? `linux-${process.arch}-gnu` : `${process.platform}-${process.arch}`;
  return require.resolve(`@oxc-parser/binding-${platform}/parser.${platform}.node`);
}
