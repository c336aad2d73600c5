/** Supplied by the bundler: path of the script parser's native library, relative to the bundle or absolute. */
declare module 'branchtab:parser-binding' {
  const path: string;
  export default path;
}
