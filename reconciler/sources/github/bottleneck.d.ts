/** The build without Redis, which Octokit's throttling uses too; its package describes the other one alone. */
declare module 'bottleneck/light.js' {
  export {default} from 'bottleneck';
}
