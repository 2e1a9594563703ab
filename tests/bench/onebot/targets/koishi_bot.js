// Koishi with the adapter for OneBot, dialled by us: NODE_PATH=LAB/k/node_modules node koishi_bot.js PORT
//
// The adapter starts only where an HTTP client is loaded, which `koishi start` does by itself and a bare Context does
// not: without it the server takes the connection and nobody reads it.
const { Context, Logger } = require('koishi')

const load = (context, name, config) => {
  const plugin = require(name)
  context.plugin(plugin.default ?? plugin, config)
}

Logger.levels.base = 1
const context = new Context({ prefix: ['/'] })
load(context, '@koishijs/plugin-server', { host: '127.0.0.1', port: Number(process.argv[2]) })
load(context, '@koishijs/plugin-http')
load(context, 'koishi-plugin-adapter-onebot', { selfId: '10001', protocol: 'ws-reverse', path: '/onebot' })
context.command('echo <text:text>').action((_, text) => text)
context.start()
