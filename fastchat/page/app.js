// fastchat demo page, MIT; sources 6f2511ad418ad57c3880f1b19bd6384e9e30015bbcd7c8c4224635e6c24d7462; contains software under the licences in licenses.txt
var e,t,n,r,i,a,o,s,c,l,u,d=Symbol.for(`pv`),f={},p=[],m=/^m(i|n|o|s|text|space)$/,h=Array.isArray,g=p.slice,_=Object.assign;function v(e){e&&e.parentNode&&e.remove()}function y(e,t,n){var r,i,a,o={},s=arguments.length;for(a in t)a==`key`?r=t[a]:a==`ref`&&typeof e!=`function`?i=t[a]:o[a]=t[a];return s>2&&(o.children=s>3?g.call(arguments,2):n),b(e,o,r,i,null)}function b(n,r,i,a,o){var s={type:n,props:r,key:i,ref:a,__k:null,__:null,__b:0,__e:null,__c:null,constructor:d,__v:o||++t,__i:-1,__u:0};return!o&&e.vnode&&e.vnode(s),s}function x(e){return e.children}function S(e,t){this.props=e,this.context=t,this.__g=0}function C(e,t){if(t==null)return e.__&&C(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!=`function`||e.props.__P?null:C(e)}function w(t){var n,r=t.__v,i=r.__e,a=[],o=[],s=t.__P;s&&((n=_({constructor:d},r)).__v=r.__v+1,e.vnode&&e.vnode(n),re(s,n,r,t.__n,s.namespaceURI,32&r.__u?[i]:null,a,i||C(r),32&r.__u,o),n.__v=r.__v,n.__.__k[n.__i]=n,M(a,n,o),r.__=r.__e=null,n.__e!=i&&T(n))}function T(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){return t&&(e.__e=t.__e)}),T(e)}function E(t){(8&t.__g||(t.__g|=8,r.push(t),a++))&&i==e.debounceRendering||((i=e.debounceRendering)||queueMicrotask)(D)}function D(){try{for(var e,t=1;r.length;)r.length>t&&r.sort(o),e=r.shift(),t=r.length,8&e.__g&&w(e)}finally{(a=r.length)&&(i||queueMicrotask)(D)}}function ee(e,t,n,r,i,a,o,s,c,l,u){var d,m,h,g,_,v,y=r.__k||p,b=t.length;for(c=O(n,t,y,c,b),d=0;d<b;d++)(h=n.__k[d])!=null&&(m=~h.__i&&y[h.__i]||f,h.__i=d,v=re(e,h,m,i,a,o,s,c,l,u),g=h.__e,(m.ref!=h.ref||8&m.__u)&&(m.ref&&N(m.ref,null,h,m),h.ref&&u.push(h.ref,h.__c||g,h)),_||=g,4&h.__u?(c=k(h,c,e,!m.__v),m.__e&&(m.__e=null)):typeof h.type==`function`&&v!==void 0?c=v:g&&(c=g.nextSibling),h.__u&=-21);return n.__e=_,c}function O(e,t,n,r,i){var a,o,s,c,l,u,f,p,m,g=n.length,_=g,v=0,y=0,S=e.__k=Array(i);for(a=0;a<i;a++)(o=t[a])!=null&&typeof o!=`boolean`&&typeof o!=`function`?(typeof o!=`object`||o.constructor===String?o=S[a]=b(null,o):h(o)?o=S[a]=b(x,{children:o}):o.constructor===d&&o.__b?o=S[a]=b(o.type,o.props,o.key,o.ref,o.__v):S[a]=o,c=a+v,o.__=e,o.__b=e.__b+1,s=null,~(l=o.__i=te(o,n,c,_))&&(_--,(s=n[l])&&(s.__u|=2)),s&&s.__v?(o.__u|=16,l==c-1?v--:l==c+1?v++:l!=c&&(l>c?v--:v++,y=1)):(~l||(i>g?v--:i<g&&v++),typeof o.type!=`function`&&(o.__u|=4))):S[a]=null;if(y){for(u=[],f=[],a=0;a<i;a++)if((o=S[a])&&16&o.__u){for(v=0,p=u.length;v<p;)u[m=v+p>>1]<o.__i?v=m+1:p=m;u[v]=o.__i,f[a]=v+1}for(v=u.length;a--;)f[a]&&(f[a]==v?v--:S[a].__u|=4)}if(_)for(a=0;a<g;a++)!(s=n[a])||2&s.__u||(s.__e==r&&(r=C(s)),se(s,s));return r}function k(e,t,n,r){var i,a,o,s;if(typeof e.type==`function`){if(e.props.__P)return t;if(i=e.__k)for(a=0;a<i.length;a++)i[a]&&(i[a].__=e,t=k(i[a],t,n,!1));return t}for(t&&!t.parentNode&&(t=C(e))&&!t.parentNode&&(t=null),o=e.__e,s=t;s&&s.nodeType==8;)s=s.nextSibling;for(o!=s&&(!r&&n.moveBefore&&o.parentNode?n.moveBefore(o,t):n.insertBefore(o,t||null)),t=o;(t&&=t.nextSibling)&&t.nodeType==8&&!t.data.startsWith(`$s`););return t}function te(e,t,n,r){var i,a=e.key,o=e.type,s=t[n],c=s&&!(2&s.__u);if(s===null&&a==null||c&&a==s.key&&o==s.type)return n;if(r>+!!c){for(i=n-1;i>=0;i--)if((s=t[i])&&!(2&s.__u)&&a==s.key&&o==s.type)return i;for(i=n+1;i<t.length;i++)if((s=t[i])&&!(2&s.__u)&&a==s.key&&o==s.type)return i}return-1}function ne(e,t,n){n??=``,t[0]==`-`?e.setProperty(t,n):e[t]=n}function A(e,t,n,r,i){var a,o;if(t==`style`){if(typeof n==`string`)e.style.cssText=n;else{if(typeof r==`string`&&(e.style.cssText=r=``),r)for(t in r)n&&t in n||ne(e.style,t);if(n)for(t in n)r&&n[t]==r[t]||ne(e.style,t,n[t])}}else if(t[0]==`o`&&t[1]==`n`)typeof n!=`function`&&(n=null),typeof r!=`function`&&(r=null),(e.__e||={})[t]=n,n&&r||(o=u[t]||(u[t]=j(t)),(e.__a||={})[t]=l,a=t!=(t=t.replace(c,`$1`)),(t=t.slice(2))[0]<`a`&&(t=t.toLowerCase()),n?e.addEventListener(t,o,a):e.removeEventListener(t,o,a));else{if(i==`http://www.w3.org/2000/svg`)t=t.replace(/xlink(H|:h)/,`h`).replace(/sName$/,`s`);else if(t!=`width`&&t!=`height`&&t!=`href`&&t!=`list`&&t!=`form`&&t!=`tabIndex`&&t!=`download`&&t!=`rowSpan`&&t!=`colSpan`&&t!=`role`&&t!=`popover`&&t in e)try{e[t]=n??``;return}catch{}if(typeof n==`function`)return;n==null||!1===n&&t[4]!=`-`?e.removeAttribute(t):e.setAttribute(t,t==`popover`&&n==1?``:n)}}function j(t){return function(n){var r=this.__e;if(r){if(r=r[t],n[s]==null)n[s]=l++;else if(n[s]<this.__a[t])return;return r(e.event?e.event(n):n)}}}function re(t,n,r,i,a,o,s,c,l,u){var f,m,g,y,b,w,T,E,D,O,k,te,ne,A,j,re,M,N,P=n.type;if(n.constructor!==d)return null;128&r.__u&&(l=32&r.__u,f=r.__c.__z)&&(n.__u|=l,m=o=[],f.nodeType==8?c=ie(f,o):o.push(f),c=o[0]||c),(f=e.__b)&&f(n);n:if(typeof P==`function`){g=s.length;try{if(E=n.props,D=(f=P.prototype)&&f.render,O=(f=P.contextType)&&i[f.__c],k=f?O?O.props.value:f.__:i,(y=r.__c)?(n.__c=y,2&y.__g&&(y.__g|=1)):(D?n.__c=y=new P(E,k):(n.__c=y=new S(E,k),y.constructor=P,y.render=ce),O&&O.sub(y),y.state||(y.state={}),y.__n=i,y.__g|=8,y.__h=[],y.__k=[]),D&&(y.__s||(y.__s=y.state),P.getDerivedStateFromProps&&(y.__s==y.state&&(y.__s=_({},y.__s)),_(y.__s,P.getDerivedStateFromProps(E,y.__s)))),b=y.props,w=y.state,y.__v=n,r.__c){if(E!==b&&D&&!P.getDerivedStateFromProps&&y.componentWillReceiveProps&&y.componentWillReceiveProps(E,k),n.__v==r.__v&&!(8&y.__g)||!(4&y.__g)&&y.shouldComponentUpdate&&!1===y.shouldComponentUpdate(E,y.__s,k)){n.__v!=r.__v&&(y.props=E,y.state=y.__s,y.__g&=-9),n.__e=r.__e,n.__k=r.__k,n.__k.some(function(e){e&&(e.__=n)}),p.push.apply(y.__h,y.__k),y.__k=[],y.__h.length&&s.push(y),c=C(r);break n}y.componentWillUpdate&&y.componentWillUpdate(E,y.__s,k),D&&y.componentDidUpdate&&y.__h.push(function(){y.componentDidUpdate(b,w,T)})}else D&&!P.getDerivedStateFromProps&&y.componentWillMount&&y.componentWillMount(),D&&y.componentDidMount&&y.__h.push(y.componentDidMount);y.context=k,y.props=E,y.__P=t,y.__g&=-5,te=e.__r,ne=D?25:0;do y.__g&=-9,te&&te(n),f=y.render(y.props,y.state=y.__s,y.context);while(8&y.__g&&++ne<25);D&&(p.push.apply(y.__h,y.__k),y.__k=[]),y.state=y.__s,y.getChildContext&&(i=_({},i,y.getChildContext())),D&&r.__c&&y.getSnapshotBeforeUpdate&&(T=y.getSnapshotBeforeUpdate(b,w)),A=f&&f.type===x&&f.key==null?f.props.children:f,E.__P&&(f=c,a=(t=E.__P).namespaceURI,l=o=null,r.props&&r.props.__P!=t&&(r.__k.some(function(e){e&&se(e,e)}),r.__k=null),c=r.__k?C(r,0):null),c=ee(t,h(A)?A:[A],n,r,i,a,o,s,c,l,u),E.__P&&(n.__e=null,c=f),n.__u&=-161,m&&m.some(v),y.__h.length&&s.push(y),1&y.__g&&(y.__g&=-4)}catch(t){if(s.length=g,n.__v=null,l||o){if(t&&t.then){if(n.__u|=128|l,o){for(~(M=o.indexOf(c||void 0))||(M=o.length);(N=o[M-1])&&N.nodeType==8;)M--;for(;M<o.length;M++)if(N=o[M]){if(o[M]=null,j){if(N==re)break}else{if(N.nodeType!=8)break;N.data.startsWith(`$s`)&&(re=ie(j=N))}}}if(!j){for(;c&&c.nodeType==8&&c.nextSibling;)c=c.nextSibling;j=c}(f=ie(j=n.__c.__z||(n.__c.__z=j)))?(n.__e=j,c=f):n.__e=c,c&&=c.nextSibling}else o&&o.some(v)}else n.__e=r.__e;n.__k||=r.__k||[],t&&t.then||ae(n),e.__e(t,n,r)}}else c=n.__e=oe(r.__e,n,r,i,a,o,s,l,u,t);return(f=e.diffed)&&f(n),c}function ie(e,t){if(e&&e.nodeType==8&&e.data.startsWith(`$s`))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.startsWith(`$s`))n++;else if(e.data.startsWith(`/$s`)&&!--n)return e}t&&t.push(e)}}function ae(e){e&&(e.__c&&(e.__c.__g|=4),e.__k&&e.__k.some(ae))}function M(t,n,r){for(var i=0;i<r.length;)N(r[i++],r[i++],r[i++]);e.__c&&e.__c(n,t),t.some(function(n){try{t=n.__h,n.__h=[],t.some(function(e){e.call(n)})}catch(t){e.__e(t,n.__v)}})}function oe(t,n,r,i,a,o,s,c,l,u){var d,p,_,y,b,x,S,w,T=r.props||f,E=n.props,D=n.type;if(D==`svg`?a=`http://www.w3.org/2000/svg`:D==`math`?a=`http://www.w3.org/1998/Math/MathML`:a||=`http://www.w3.org/1999/xhtml`,o){for(d=0;d<o.length;d++)if((b=o[d])&&(D?b.localName==D:b.nodeType==3)){t=b,o[d]=null;break}}if(!t){if(w=u.ownerDocument||document,!D)return w.createTextNode(E);t=w.createElementNS(a,D,E.is?E:u),c&&=(e.__m&&e.__m(n,o),!1),o=null}if(D){if(u=D==`template`&&t.content||t,o=D==`textarea`&&E.defaultValue!=null?null:o&&g.call(u.childNodes),!c&&o)for(T={},d=0;d<t.attributes.length;d++)T[(b=t.attributes[d]).name]=b.value;for(d in T)b=T[d],d==`dangerouslySetInnerHTML`?_=b:d==`children`||d in E||d==`value`&&`defaultValue`in E||d==`checked`&&`defaultChecked`in E||A(t,d,null,b,a);for(d in E)b=E[d],d==`children`?y=b:d==`dangerouslySetInnerHTML`?p=b:d==`value`?x=b:d==`checked`?S=b:c&&typeof b!=`function`||T[d]===b||A(t,d,b,T[d],a);p?(c||_&&(p.__html==_.__html||p.__html==t.innerHTML)||(t.innerHTML=p.__html),n.__k=[]):(_&&(t.textContent=``),(D==`foreignObject`||a==`http://www.w3.org/1998/Math/MathML`&&m.test(D))&&(a=`http://www.w3.org/1999/xhtml`),ee(u,h(y)?y:[y],n,r,i,a,o,s,o?o[0]:r.__k&&C(r,0),c,l),o&&o.some(v)),c&&D!=`textarea`||(d=`value`,D==`progress`&&x==null?t.removeAttribute(d):x==null||x===t[d]&&(D!=`progress`||x)||A(t,d,x,T[d],a),d=`checked`,S!=null&&S!=t[d]&&A(t,d,S,T[d],a))}else T===E||c&&t.data==E||(t.data=E);return t}function N(t,n,r,i){try{typeof t==`function`?n?n.__x=t(n)||1:(i&&=i.__c||i.__e)&&(n=i.__x)&&(i.__x=null,typeof n==`function`?n():t(null)):t.current=n}catch(t){e.__e(t,r)}}function se(t,n,r){var i,a,o,s;if(e.unmount&&e.unmount(t),!(i=t.ref)||i.current&&i.current!=t.__e||N(i,null,n,t),i=t.__c){if(i.componentWillUnmount)try{i.componentWillUnmount()}catch(t){e.__e(t,n)}i.__P=i.__n=null}if(i=t.__k)for(s=0;s<i.length;s++)i[s]&&se(i[s],n,typeof t.type!=`function`||r&&!t.props.__P);!r&&(i=t.__c)&&(i=i.__z)&&(a=ie(i,o=[]))&&(i==t.__e&&o.some(v),v(a),v(i)),r||v(t.__e),t.__e=t.__c=t.__=null}function ce(e,t,n){return this.constructor(e,n)}function P(t,n){var r,i,a,o;e.__&&e.__(t,n),n.nodeType==9&&(n=n.documentElement),i=(r=t&&32&t.__u)?null:n.__k,n.__k=b(x,{children:[t]}),a=[],o=[],re(n,n.__k,i||f,f,n.namespaceURI,i?null:n.firstChild?g.call(n.childNodes):null,a,i?i.__e:n.firstChild,r,o),M(a,n.__k,o),n.__k.props.children=null}e={__e:function(e,t,n,r){for(var i,o,s;t=t.__;)if((i=t.__c)&&!(1&i.__g)){i.__g|=4;try{if((s=(o=i.constructor)&&o.getDerivedStateFromError)&&i.setState(o.getDerivedStateFromError(e)),i.componentDidCatch&&(i.componentDidCatch(e,r||{}),s=1),s&&8&i.__g)return void(i.__g|=2)}catch(t){e=t}}throw a=0,e}},t=0,n=function(e){return e!=null&&e.constructor===d},S.prototype.setState=function(e,t){var n=this.__s;n&&n!=this.state||(n=this.__s=_({},this.state)),typeof e==`function`&&(e=e(_({},n),this.props)),e&&(_(n,e),this.__v&&(t&&this.__k.push(t),E(this)))},S.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.push(e),E(this))},S.prototype.render=x,r=[],a=0,o=function(e,t){return e.__v.__b-t.__v.__b},s=Symbol(),c=/(PointerCapture)$|Capture$/i,l=0,u={};var le,F,ue,de,fe=Object.is,pe=0,me=[],he=[],I=e,ge=I.__b,_e=I.__r,ve=I.diffed,ye=I.__c,be=I.unmount,xe=I.__;function Se(e,t){I.__h&&I.__h(F,e,pe||t),pe=0;var n=F.__H||(F.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function L(e){return pe=1,Ce(Ne,e)}function Ce(e,t,n){var r=Se(le++,2);if(r.t=e,!r.__c&&(r.__=[n?n(t):Ne(void 0,t),function(e){var t=(r.__N||r.__)[0],n=r.t(t,e);fe(t,n)||(r.__N=[n,r.__[1]],r.__c.setState({}))}],r.__c=F,!F.__f)){F.__f=!0;var i=F.shouldComponentUpdate;F.shouldComponentUpdate=function(e,t,n){var r=this.__H;if(!r)return!0;var a=!1,o=this.props!=e;if(r.__.some(function(e){e.__N&&(a=!0,fe(e.__[0],e.__N[0])||(o=!0))}),i){var s=i.call(this,e,t,n);return a?s||o:s}return!a||o}}return r.__}function R(e,t){var n=Se(le++,3);!I.__s&&Me(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,F.__H.__h.push(n))}function we(e,t){var n=Se(le++,4);!I.__s&&Me(n.__H,t)&&(n.__P=!1,n.__=e,n.u=t,F.__h.push(n))}function z(e){return pe=5,Te(function(){return{current:e}},[])}function Te(e,t){var n=Se(le++,7);return Me(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function Ee(){var e;do{for(;e=he.shift();)try{Ae(e)}catch(t){I.__e(t,{__:(e=e.__P)&&e.__v})}for(;e=me.shift();){var t=e.__H;if(e.__P&&t)try{t.__h.some(Ae),t.__h.some(je),t.__h=[]}catch(n){t.__h=[],I.__e(n,e.__v)}}}while(he.length)}I.__b=function(e){F=null,ge&&ge(e)},I.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),xe&&xe(e,t)},I.__r=function(e){_e&&_e(e),le=0;var t=(F=e.__c).__H;t&&(ue==F?F.__h=[]:(t.__h.some(Ae),t.__h.some(je),le=0),t.__h=[],t.__.some(function(e){e.__N&&(e.__=e.__N),e.u=e.__N=void 0})),ue=F},I.diffed=function(e){ve&&ve(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&ke(me.push(t)),t.__H.__.some(function(e){e.u&&(e.__H=e.u)})),ue=F=null},I.__c=function(e,t){t.some(function(e){try{e.__h.some(Ae),e.__h=e.__h.filter(function(e){return!e.__||je(e)})}catch(t){e.__h=[function(){throw t}]}}),ye&&ye(e,t)},I.unmount=function(e){be&&be(e);var t,n,r=e.__c;r&&r.__H&&(r.__H.__.some(function(r){try{if(r.__P&&r.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||!n.__c.__P);)n=n.__;n&&=n.__c}r.__P=n,ke(he.push(r))}else Ae(r)}catch(e){t=e}}),r.__H=void 0,t&&I.__e(t,r.__v))};var De=typeof requestAnimationFrame==`function`;function Oe(e){var t,n=function(){clearTimeout(r),De&&cancelAnimationFrame(t),setTimeout(e)},r=setTimeout(n,35);De&&(t=requestAnimationFrame(n))}function ke(e){e!=1&&de==I.requestAnimationFrame||((de=I.requestAnimationFrame)||Oe)(Ee)}function Ae(e){var t=F,n=e.__c;typeof n==`function`&&(e.__c=void 0,n()),F=t}function je(e){var t=F;e.__c=e.__(),F=t}function Me(e,t){return!e||e.length!=t.length||t.some(function(t,n){return!fe(t,e[n])})}function Ne(e,t){return typeof t==`function`?t(e):t}var Pe=Symbol.for(`preact-signals`);function Fe(){if(V>1)V--;else{var e,t=!1;for((function(){var e=Ue;for(Ue=void 0;e!==void 0;){var t=e.S;if(t.v===e.v)for(var n=t.t;n!==void 0;n=n.x)n.i===e.i&&(n.i=t.i);e=e.o}})();ze!==void 0;){var n=ze;for(ze=void 0,Be++;n!==void 0;){var r=n.u;if(n.u=void 0,n.f&=-3,!(8&n.f)&&Ke(n))try{n.c()}catch(n){t||=(e=n,!0)}n=r}}if(Be=0,V--,t)throw e}}function Ie(e){if(V>0)return e();He=++Ve,V++;try{return e()}finally{Fe()}}var Le,B=void 0;function Re(e){var t=B,n=Le;B=void 0,Le=void 0;try{return e()}finally{B=t,Le=n}}var ze=void 0,V=0,Be=0,Ve=0,He=0,Ue=void 0,We=0;function Ge(e){if(B!==void 0){var t=e.n;if(t===void 0||t.t!==B)return t={i:0,S:e,p:B.s,n:void 0,t:B,e:void 0,x:void 0,r:t},B.s!==void 0&&(B.s.n=t),B.s=t,e.n=t,32&B.f&&e.S(t),t;if(t.i===-1)return t.i=0,t.n!==void 0&&(t.n.p=t.p,t.p!==void 0&&(t.p.n=t.n),t.p=B.s,t.n=void 0,B.s.n=t,B.s=t),t}}function H(e,t){this.v=e,this.i=0,this.n=void 0,this.t=void 0,this.l=0,this.W=t?.watched,this.Z=t?.unwatched,this.name=t?.name}H.prototype.brand=Pe,H.prototype.h=function(){return!0},H.prototype.S=function(e){var t=this,n=this.t;n!==e&&e.e===void 0&&(e.x=n,this.t=e,n===void 0?Re(function(){var e;(e=t.W)==null||e.call(t)}):n.e=e)},H.prototype.U=function(e){var t=this;if(this.t!==void 0){var n=e.e,r=e.x;n!==void 0&&(n.x=r,e.e=void 0),r!==void 0&&(r.e=n,e.x=void 0),e===this.t&&(this.t=r,r===void 0&&Re(function(){var e;(e=t.Z)==null||e.call(t)}))}},H.prototype.subscribe=function(e){var t=this;return q(function(){var n=t.value;Re(function(){return e(n)})},{name:`sub`})},H.prototype.valueOf=function(){return this.value},H.prototype.toString=function(){return this.value+``},H.prototype.toJSON=function(){return this.value},H.prototype.peek=function(){var e=this;return Re(function(){return e.value})},Object.defineProperty(H.prototype,"value",{get:function(){var e=Ge(this);return e!==void 0&&(e.i=this.i),this.v},set:function(e){if(e!==this.v){if(Be>100)throw Error(`Cycle detected`);(function(e){V!==0&&Be===0&&e.l!==He&&(e.l=He,Ue={S:e,v:e.v,i:e.i,o:Ue})})(this),this.v=e,this.i++,We++,V++;try{for(var t=this.t;t!==void 0;t=t.x)t.t.N()}finally{Fe()}}}});function U(e,t){return new H(e,t)}function Ke(e){for(var t=e.s;t!==void 0;t=t.n)if(t.S.i!==t.i||!t.S.h()||t.S.i!==t.i)return!0;return!1}function qe(e){for(var t=e.s;t!==void 0;t=t.n){var n=t.S.n;if(n!==void 0&&(t.r=n),t.S.n=t,t.i=-1,t.n===void 0){e.s=t;break}}}function Je(e){for(var t=e.s,n=void 0;t!==void 0;){var r=t.p;t.i===-1?(t.S.U(t),r!==void 0&&(r.n=t.n),t.n!==void 0&&(t.n.p=r)):n=t,t.S.n=t.r,t.r!==void 0&&(t.r=void 0),t=r}e.s=n}function W(e,t){H.call(this,void 0,t),this.x=e,this.s=void 0,this.g=We-1,this.f=4}W.prototype=new H,W.prototype.h=function(){if(this.f&=-3,1&this.f)return!1;if((36&this.f)==32||(this.f&=-5,this.g===We))return!0;if(this.g=We,this.f|=1,this.i>0&&!Ke(this))return this.f&=-2,!0;var e=B;try{qe(this),B=this;var t=this.x();(16&this.f||this.v!==t||this.i===0)&&(this.v=t,this.f&=-17,this.i++)}catch(e){this.v=e,this.f|=16,this.i++}return B=e,Je(this),this.f&=-2,!0},W.prototype.S=function(e){if(this.t===void 0){this.f|=36;for(var t=this.s;t!==void 0;t=t.n)t.S.S(t)}H.prototype.S.call(this,e)},W.prototype.U=function(e){if(this.t!==void 0&&(H.prototype.U.call(this,e),this.t===void 0)){this.f&=-33;for(var t=this.s;t!==void 0;t=t.n)t.S.U(t)}},W.prototype.N=function(){if(!(2&this.f)){this.f|=6;for(var e=this.t;e!==void 0;e=e.x)e.t.N()}},Object.defineProperty(W.prototype,"value",{get:function(){if(1&this.f)throw Error(`Cycle detected`);var e=Ge(this);if(this.h(),e!==void 0&&(e.i=this.i),16&this.f)throw this.v;return this.v}});function G(e,t){return new W(e,t)}function Ye(e){var t=e.j;if(e.j=void 0,typeof t==`function`){V++;var n=B;B=void 0;try{t()}catch(t){throw e.f&=-2,e.f|=8,Xe(e),t}finally{B=n,Fe()}}}function Xe(e){for(var t=e.s;t!==void 0;t=t.n)t.S.U(t);e.x=void 0,e.s=void 0,Ye(e)}function Ze(e){if(B!==this)throw Error(`Out-of-order effect`);Je(this),B=e,this.f&=-2;try{8&this.f&&Xe(this)}finally{Fe()}}function K(e,t){this.x=e,this.j=void 0,this.s=void 0,this.u=void 0,this.f=32,this.name=t?.name,Le&&Le.push(this)}K.prototype.c=function(){var e=this.S();try{if(8&this.f||this.x===void 0)return;var t=this.x();typeof t==`function`&&(this.j=t)}finally{e()}},K.prototype.S=function(){if(1&this.f)throw Error(`Cycle detected`);this.f|=1,this.f&=-9,Ye(this),qe(this),V++;var e=B;return B=this,Ze.bind(this,e)},K.prototype.N=function(){2&this.f||(this.f|=2,this.u=ze,ze=this)},K.prototype.d=function(){this.f|=8,1&this.f||Xe(this)},K.prototype.dispose=function(){this.d()};function q(e,t){var n=new K(e,t);try{n.c()}catch(e){throw n.d(),e}var r=n.d.bind(n);return r[Symbol.dispose]=r,r}var Qe,$e,et=typeof window<`u`&&!!window.__PREACT_SIGNALS_DEVTOOLS__,tt=[];q(function(){Qe=this.N})();function J(t,n){e[t]=n.bind(null,e[t]||function(){})}function nt(e){if($e){var t=$e;$e=void 0,t()}$e=e&&e.S()}function rt(e){var t=this,r=e.data,i=at(r);i.name=`ReactiveDom`,i.value=r;var a=Te(function(){for(var e=t,r=t.__v;r=r.__;)if(r.__c){r.__c.__$f|=4;break}var a=G(function(){var e=i.value.value;return e===0?0:!0===e?``:e||``}),o=G(function(){return!Array.isArray(a.value)&&!n(a.value)}),s=q(function(){if(this.N=ct,o.value){var t=a.value;e.__v&&e.__v.__e&&e.__v.__e.nodeType===3&&(e.__v.__e.data=t)}}),c=t.__$u.d;return t.__$u.d=function(){s(),c.call(this)},[o,a]},[]),o=a[0],s=a[1];return o.value?s.peek():s.value}rt.displayName=`ReactiveTextNode`,Object.defineProperties(H.prototype,{constructor:{configurable:!0,value:y(x,null).constructor},type:{configurable:!0,value:rt},props:{configurable:!0,get:function(){var e=this;return{data:{get value(){return e.value}}}}},__b:{configurable:!0,value:1}}),J(`__b`,function(e,t){if(nt(),typeof t.type==`string`){var n,r=t.props;for(var i in r)if(i!==`children`){var a=r[i];a instanceof H&&(n||(t.__np=n={}),n[i]=a,r[i]=a.peek())}}e(t)}),J(`__r`,function(e,t){if(e(t),t.type!==x){nt();var n,r=t.__c;r&&(r.__$f&=-2,(n=r.__$u)===void 0&&(r.__$u=n=function(e,t){var n;return q(function(){n=this},{name:t}),n.c=e,n}(function(e){return function(){var t;et&&((t=this.y)==null||t.call(this)),e.__$f|=1,e.setState({})}}(r),typeof t.type==`function`?t.type.displayName||t.type.name:``))),nt(n)}}),J(`__e`,function(e,t,n,r){nt(),e(t,n,r)}),J(`diffed`,function(e,t){nt();var n;if(typeof t.type==`string`&&(n=t.__e)){var r=t.__np,i=t.props,a=n.U;if(a)for(var o in a){var s=a[o];s===void 0||r&&o in r||(s.d(),a[o]=void 0)}if(r)for(var c in a||(a={},n.U=a),r){var l=a[c],u=r[c];l===void 0?(l=it(n,c,u,i),a[c]=l):l.o(u,i)}}e(t)});function it(e,t,n,r){var i=t in e&&e.ownerSVGElement===void 0,a=U(n);return{o:function(e,t){a.value=e,r=t},d:q(function(){this.N=ct;var n=a.value.value;r[t]!==n&&(r[t]=n,i?e[t]=n:n!=null&&(!1!==n||t[4]===`-`)?e.setAttribute(t,n):e.removeAttribute(t))})}}J(`unmount`,function(e,t){if(typeof t.type==`string`){var n=t.__e;if(n){var r=n.U;if(r)for(var i in n.U=void 0,r){var a=r[i];a&&a.d()}}var o=t.__np;if(o){var s=t.props;for(var c in o)s[c]=o[c]}t.__np=void 0}else{var l=t.__c;if(l){l.__$f|=8;var u=l.__$u;u&&(l.__$u=void 0,u.d())}}e(t)}),J(`__h`,function(e,t,n,r){r<3&&(t.__$f|=2),e(t,n,r)}),S.prototype.shouldComponentUpdate=function(e,t){if(this.__R)return!0;var n=this.__$u,r=n&&n.s!==void 0;for(var i in t)return!0;if(this.__f||typeof this.u==`boolean`&&!0===this.u){var a=2&this.__$f;if(!(r||a||4&this.__$f)||1&this.__$f)return!0}else if(!(r||4&this.__$f)||3&this.__$f)return!0;for(var o in e)if(o!==`__source`&&e[o]!==this.props[o])return!0;for(var s in this.props)if(!(s in e))return!0;return!1};function at(e,t){return Te(function(){return U(e,t)},[])}var ot=function(e){queueMicrotask(function(){queueMicrotask(e)})};function st(){Ie(function(){for(var e;e=tt.shift();)Qe.call(e)})}function ct(){tt.push(this)===1&&(e.requestAnimationFrame||ot)(st)}var lt=function(e,t,n,r){var i;t[0]=0;for(var a=1;a<t.length;a++){var o=t[a++],s=t[a]?(t[0]|=o?1:2,n[t[a++]]):t[++a];o===3?r[0]=s:o===4?r[1]=Object.assign(r[1]||{},s):o===5?(r[1]=r[1]||{})[t[++a]]=s:o===6?r[1][t[++a]]+=s+``:o?(i=e.apply(s,lt(e,s,n,[``,null])),r.push(i),s[0]?t[0]|=2:(t[a-2]=0,t[a]=i)):r.push(s)}return r},ut=new Map;function dt(e){var t=ut.get(this);return t||(t=new Map,ut.set(this,t)),(t=lt(this,t.get(e)||(t.set(e,t=function(e){for(var t,n,r=1,i=``,a=``,o=[0],s=function(e){r===1&&(e||(i=i.replace(/^\s*\n\s*|\s*\n\s*$/g,``)))?o.push(0,e,i):r===3&&(e||i)?(o.push(3,e,i),r=2):r===2&&i===`...`&&e?o.push(4,e,0):r===2&&i&&!e?o.push(5,0,!0,i):r>=5&&((i||!e&&r===5)&&(o.push(r,0,i,n),r=6),e&&(o.push(r,e,0,n),r=6)),i=``},c=0;c<e.length;c++){c&&(r===1&&s(),s(c));for(var l=0;l<e[c].length;l++)t=e[c][l],r===1?t===`<`?(s(),o=[o],r=3):i+=t:r===4?i===`--`&&t===`>`?(r=1,i=``):i=t+i[0]:a?t===a?a=``:i+=t:t===`"`||t===`'`?a=t:t===`>`?(s(),r=1):r&&(t===`=`?(r=5,n=i,i=``):t===`/`&&(r<5||e[c][l+1]===`>`)?(s(),r===3&&(o=o[0]),r=o,(o=o[0]).push(2,0,r),r=0):t===` `||t===`	`||t===`
`||t===`\r`?(s(),r=2):i+=t),r===3&&i===`!--`&&(r=4,o=o[0])}return s(),o}(e)),t),arguments,[])).length>1?t:t[0]}var Y=dt.bind(y);function ft(e,t){let n=new Map(e.map(e=>[e.id,e]));for(let e of t){let t=n.get(e.id);(!t||e.rev>=t.rev)&&n.set(e.id,e)}return[...n.values()].sort((e,t)=>e.seq-t.seq)}function pt(e,t,n,r=0){return e.map(e=>e.id===t?{...e,...n,rev:Math.max(e.rev,r)}:e)}function mt(e,t){let n=new Set(t);return e.filter(({id:e})=>!n.has(e))}function ht(e,t,n,r,i){let a=e.find(e=>e.id===t);if(!a)return e;let o=a.reactions.filter(e=>e.userId!==n);return pt(e,t,{reactions:r?[...o,r]:o},i)}function gt(e){let t=new Map;for(let{reaction:n,username:r,userId:i}of e){let e=t.get(n)??{reaction:n,names:[],userIds:[]};e.names.push(r),e.userIds.push(i),t.set(n,e)}return[...t.values()]}function _t(e){return{id:e,group:null,members:[],person:null,messages:[],hasMore:!1,unread:0,isMentioned:!1,readSeq:0,typing:{},at:``}}function vt({group:e,person:t,id:n}){return e?.groupName??t?.displayName??n}function yt({messages:e}){return e[e.length-1]}function bt({members:e},t){return e.find(e=>e.userId===t)?.role??`member`}function xt(e){return[...e.values()].sort((e,t)=>t.at.localeCompare(e.at))}function St(e,t,n){let r=!e.messages.some(({id:e})=>e===t.id)&&t.senderId!==n;return{...e,messages:ft(e.messages,[t]),at:t.timestamp>e.at?t.timestamp:e.at,unread:e.unread+ +!!r,typing:jt(e.typing,t.senderId)}}function Ct(e,t,n){let r=t.complete?e.messages:[],i=t.changed.filter(({isDeleted:e})=>e).map(({id:e})=>e),a=t.changed.filter(({isDeleted:e})=>!e),o=r[0]?.seq??0,s=a.filter(({seq:e})=>e>=o),c=ft(r,[...t.messages,...s]);c=mt(c,[...i,...t.hiddenIds]),t.hiddenUpTo&&(c=c.filter(({seq:e})=>e>t.hiddenUpTo));let l=Object.entries(t.readUpTo).find(([e])=>e!==n);return{...e,messages:c,hasMore:!t.complete||e.hasMore,unread:t.unreadCount,readSeq:Math.max(e.readSeq,t.groupId?0:l?.[1]??0),at:c.at(-1)?.timestamp??(e.at||(t.group?.createdAt??``)),...t.group&&{group:t.group},...t.members&&{members:t.members}}}function wt(e,{messages:t,pagination:n}){return{...e,messages:ft(e.messages,t),hasMore:n.hasMore}}var Tt={message_edited:(e,{messageId:t,message:n,rev:r})=>Ot(e,pt(e.messages,t,n,r)),message_deleted:(e,{messageId:t})=>Ot(e,mt(e.messages,[t])),reaction_added:(e,{messageId:t,reaction:n,rev:r})=>Ot(e,ht(e.messages,t,n.userId,n,r)),reaction_removed:(e,{messageId:t,userId:n,rev:r})=>Ot(e,ht(e.messages,t,n,null,r)),message_pinned:(e,{messageId:t,rev:n})=>Ot(e,pt(e.messages,t,{isPinned:!0},n)),message_unpinned:(e,{messageId:t,rev:n})=>Ot(e,pt(e.messages,t,{isPinned:void 0},n)),message_read:(e,{messageId:t,readBy:n},r)=>{let i=e.messages.find(({id:e})=>e===t)?.seq??0;if(n!==r)return e.group?e:{...e,readSeq:Math.max(e.readSeq,i)};let a=e.messages.filter(e=>e.senderId!==r&&e.seq>i).length;return{...e,unread:a,isMentioned:a>0&&e.isMentioned}},mentioned_in_group:e=>({...e,isMentioned:!0}),conversation_deleted:e=>({...e,messages:[],hasMore:!1,unread:0,at:``}),user_typing:(e,{userId:t,username:n,isTyping:r})=>({...e,typing:r?{...e.typing,[t]:n}:jt(e.typing,t)}),group_info_updated:(e,{groupName:t,groupDescription:n,maxMembers:r})=>({...e,group:{...e.group,groupName:t,groupDescription:n,maxMembers:r}}),member_promoted:(e,t)=>kt(e,t.userId,{role:t.newRole}),member_demoted:(e,t)=>kt(e,t.userId,{role:t.newRole}),member_permissions_updated:(e,{userId:t,canSendMessages:n,canAddMembers:r})=>kt(e,t,{canSendMessages:n,canAddMembers:r}),member_removed:(e,{userId:t})=>At(e,t),member_left:(e,{userId:t})=>At(e,t),ownership_transferred:(e,{userId:t,transferredBy:n})=>kt(kt(e,n,{role:`admin`}),t,{role:`owner`})},Et=Object.keys(Tt);function Dt(e,t,n){return Tt[t.type](e,t,n)}function Ot(e,t){return{...e,messages:t}}function kt(e,t,n){let r=e.members.map(e=>e.userId===t?{...e,...n}:e);return{...e,members:r}}function At(e,t){return{...e,members:e.members.filter(e=>e.userId!==t),typing:jt(e.typing,t)}}function jt(e,t){let{[t]:n,...r}=e;return r}var Mt=50;async function Nt(e,t){let n=await e.ask(`start_conversation`,{recipientId:t});if(!n)return;let{conversationId:r,participant:i,messages:a}=n;e.patch(r,e=>wt({...e,person:i,at:e.at||(a.at(-1)?.timestamp??``)},{messages:a,pagination:{hasMore:e.hasMore||a.length>=Mt}})),e.selected.value=r}async function Pt(e,t){let n=t.messages[0]?.seq,{id:r,group:i}=t,a={limit:Mt,...n&&{before:n}},o=i?await e.ask(`get_group_messages`,{groupId:i.groupId,...a}):await e.ask(`get_private_messages`,{conversationId:r,...a});o&&e.patch(r,e=>wt(e,o))}async function Ft(e,t){let n=yt(t);if(!n||!t.unread)return;e.patch(t.id,e=>({...e,unread:0,isMentioned:!1}));let r={messageId:n.id,conversationId:t.id};await e.client.request(`mark_message_read`,r).catch(()=>{e.patch(t.id,e=>({...e,unread:t.unread}))})}var It=class{constructor(e,t){this.first=e,this.longest=t}first;longest;tries=0;get attempt(){return this.tries+1}next(e=!1){let t=Math.min(this.longest,this.first*2**this.tries++);return e&&this.tries===1?0:Math.random()*t}reset(){this.tries=0}},Lt=new Set([1002,1003,1007]),Rt=new Set([`Invalid IP address`,`Too many fragments`]),zt=new Set([`Connection limit exceeded`,`Rate limit exceeded`]),Bt=`Authentication timeout`,Vt=3e4;function Ht(e,t){let n=e===1008;return{final:Lt.has(e)||n&&Rt.has(t),floor:n&&zt.has(t)?Vt:0,atOnce:e===1012||n&&t===Bt}}var Ut=class{constructor(e,t,n,r){this.socket=e,this.hooks=t,this.heartbeat=n,this.patience=r,this.timer=setTimeout(()=>this.drop(`no handshake in time`),r),e.onopen=()=>{this.watch(n),t.onOpen()},e.onmessage=({data:e})=>{this.heardAt=Date.now(),t.onText(String(e))},e.onclose=({code:e,reason:t})=>this.end(e,t),e.onerror=()=>{}}socket;hooks;heartbeat;patience;timer;heardAt=Date.now();askedAt=0;isOver=!1;send(e){this.socket.readyState===1&&this.socket.send(e)}probe(){this.askedAt||this.socket.readyState!==1||(this.askedAt=Date.now(),this.send(`{"type":"ping"}`),this.watch(this.patience))}drop(e,t=1006){this.socket.onopen=this.socket.onmessage=this.socket.onclose=null,this.socket.close(),this.end(t,e)}hearPong(){this.askedAt&&(this.askedAt=0,this.watch(this.heartbeat))}watch(e){clearTimeout(this.timer),this.timer=setTimeout(()=>this.check(),Math.max(e,1))}check(){if(!this.askedAt)return this.probe();let e=Date.now(),t=Math.min(Math.max(this.heardAt,this.askedAt)+this.patience-e,this.askedAt+3*this.patience-e);t>0?this.watch(t):this.drop(`the server is silent`)}end(e,t){clearTimeout(this.timer),!this.isOver&&(this.isOver=!0,this.hooks.onEnd(e,t))}},Wt=class{listeners=new Map;on(e,t){let n=this.listeners.get(e);return n||this.listeners.set(e,n=new Set),n.add(t),()=>{n.delete(t)}}emit(e,t){for(let n of[...this.listeners.get(e)??[]])try{n(t)}catch(e){setTimeout(()=>{throw e})}}},X=class e extends Error{constructor(e,t,n,r,i){super(t),this.code=e,this.field=n,this.retryAfter=r,this.errorId=i}code;field;retryAfter;errorId;name=`ChatError`;static from(t){let{field:n,errorId:r}=t,i=t.details||t.message;return new e(t.code,i,n,t.retryAfter,r)}},Gt=new Set([`AUTH_REQUIRED`,`CONNECTION_LOST`,`NOT_CONNECTED`,`RATE_LIMIT_EXCEEDED`,`SERVICE_UNAVAILABLE`,`TIMEOUT`]);function Kt(e){return e instanceof X&&Gt.has(e.code)}var qt={firstLimit:200,syncLimit:200,maxOutbox:1e3,firstPause:1e3,longestPause:3e4,heartbeat:2e4,patience:1e4,createSocket:e=>new WebSocket(e)},Jt=1e3,Yt=class{constructor(e,t){this.most=e,this.ask=t}most;ask;entries=[];timer;restUntil=0;isOpen=!1;get waiting(){return this.entries.map(({command:e})=>e)}add(e){if(this.entries.length>=this.most){let e=`${this.most} messages wait already.`;return Promise.reject(new X(`OUTBOX_FULL`,e))}return new Promise((t,n)=>{this.entries.push({command:e,isSent:!1,resolve:t,reject:n}),this.pump()})}open(){this.isOpen=!0,this.rest(this.restUntil-Date.now()),this.pump()}pause(){this.isOpen=!1,clearTimeout(this.timer),this.timer=void 0}clear(e){this.pause();for(let t of this.entries.splice(0))t.reject(e)}pump(){if(!this.isOpen||this.timer)return;let e=new Set;for(let t of[...this.entries]){let{recipientId:n,groupId:r}=t.command,i=r===void 0?`user ${n}`:`group ${r}`;!e.has(i)&&!t.isSent&&this.send(t),e.add(i)}}async send(e){e.isSent=!0;try{let t=await this.ask(e.command);this.remove(e),e.resolve(t)}catch(t){if(e.isSent=!1,Kt(t)){let e=(t.retryAfter??0)*1e3||Jt;return this.isOpen&&(this.restUntil=Math.max(this.restUntil,Date.now()+e)),this.rest(this.restUntil-Date.now())}this.remove(e),e.reject(t)}this.pump()}rest(e){!this.isOpen||e<=0||(clearTimeout(this.timer),this.timer=setTimeout(()=>{this.timer=void 0,this.pump()},e))}remove(e){let t=this.entries.indexOf(e);t>=0&&this.entries.splice(t,1)}},Xt=class{known=new Map;state;constructor(e){this.state=e?.state;for(let[t,{seq:n,rev:r}]of Object.entries(e?.conversations??{}))this.known.set(t,{seq:n,rev:r,ahead:new Map})}get hasGaps(){for(let{ahead:e}of this.known.values())if(e.size)return!0;return!1}knows(e){return!!this.known.get(e)?.rev}isAhead(e){let{id:t,rev:n}=Qt(e),r=t===void 0?void 0:this.known.get(t);return n!==void 0&&n>(r?.rev??0)&&!r?.ahead.has(n)}note(e){let{id:t,rev:n,seq:r}=Qt(e);if(t===void 0||n===void 0)return!1;let i=this.find(t);return n>i.rev&&i.ahead.set(n,r),$t(i)}merge(e){let t=this.find(e.conversationId);t.seq=Math.max(t.seq,e.seq),t.rev=Math.max(t.rev,e.rev),$t(t)}drop(e){this.known.delete(e)}clear(){this.known.clear(),this.state=void 0}finish(e){this.state=e.state;for(let[e,t]of this.known)t.stuckAt===t.rev&&(t.rev=Math.max(t.rev,...t.ahead.keys()),t.seq=Math.max(t.seq,...t.ahead.values()),t.ahead.clear()),t.rev?t.ahead.size&&(t.stuckAt=t.rev):this.known.delete(e)}save(){let e=[...this.known].filter(([,{rev:e}])=>e).slice(-1e4);return{conversations:Object.fromEntries(e.map(([e,{seq:t,rev:n}])=>[e,{seq:t,rev:n}])),...this.state&&{state:this.state}}}find(e){let t=this.known.get(e)??{seq:0,rev:0,ahead:new Map};return this.known.delete(e),this.known.set(e,t),t}};function Zt(e){return Qt(e).id}function Qt(e){let{conversationId:t,groupId:n,rev:r,message:i}=e;return{id:t??n??i?.conversationId,rev:r??i?.rev,seq:r===void 0?i?.seq??0:0}}function $t(e){for(let t of e.ahead.keys())t<=e.rev&&e.ahead.delete(t);for(let t;(t=e.ahead.get(e.rev+1))!==void 0;)e.ahead.delete(++e.rev),e.seq=Math.max(e.seq,t);return e.ahead.size>0}var en=class{constructor(e,t){this.patience=e,this.onSilence=t}patience;onSilence;pending=new Map;last=0;ask(e,t){let n=String(++this.last),r=JSON.stringify({...t,requestId:n});return new Promise((t,i)=>{let a=setTimeout(()=>{this.pending.delete(n),i(new X(`TIMEOUT`,`No answer within ${this.patience} ms.`)),this.onSilence()},this.patience);this.pending.set(n,{resolve:t,reject:i,timer:a,text:r}),e(r)})}settle(e){let t=this.take(e.requestId??``);t&&(e.type===`error`||e.type===`auth_error`?t.reject(X.from(e)):t.resolve(e))}fail(e){for(let t of[...this.pending.keys()])this.take(t)?.reject(e)}failLongest(e){let t=``,n=0;for(let[e,{text:r}]of this.pending)r.length>n&&([t,n]=[e,r.length]);this.take(t)?.reject(e)}take(e){let t=this.pending.get(e);return t&&(clearTimeout(t.timer),this.pending.delete(e)),t}},tn=class{constructor(e,t){this.getToken=e,this.patience=t}getToken;patience;token;flight;get(){return this.token===void 0?this.refresh():Promise.resolve(this.token)}refresh(){return this.flight??=this.fetch().finally(()=>this.flight=void 0),this.flight}async fetch(){let e,t=new Promise((t,n)=>{let r=Error(`getToken took longer than ${this.patience} ms.`);e=setTimeout(()=>n(r),this.patience)});try{return this.token=await Promise.race([this.getToken(),t])}finally{clearTimeout(e)}}forget(e){this.token===e&&(this.token=void 0)}};function nn(e,t=Date.now()){try{let n=(e.split(`.`)[1]??``).replace(/-/g,`+`).replace(/_/g,`/`),r=JSON.parse(atob(n)).exp*1e3-t;return r>0?Math.min(r-Math.min(r*.1,6e4),2147483647):void 0}catch{return}}var rn=new Set([`idle`,`waiting`,`closed`]),an=new Set([`send_private_message`,`send_group_message`,`send_announcement`]),on=1e3,sn=`presence_changes`,cn=1e4,ln=3e4,un=new X(`CONNECTION_LOST`,`The connection ended before the answer came.`);function dn(e){return new pn(e)}function fn(){let e=crypto.getRandomValues(new Uint8Array(12));return Array.from(e,e=>e.toString(16).padStart(2,`0`)).join(``)}var pn=class{options;emitter=new Wt;tokens;known;requests;outbox;backoff;connection;current={name:`idle`};run=0;onlineSince=0;floor=0;isSpread=!1;held=[];ownId;sessionToken;sessionEnd;isCatchingUp=!1;retryTimer;refreshTimer;gapTimer;constructor(e){let t=Object.entries(e).filter(([,e])=>e!==void 0);this.options={...qt,...Object.fromEntries(t)};let{getToken:n,positions:r,maxOutbox:i,firstPause:a,longestPause:o,patience:s}=this.options;this.tokens=new tn(n,s),this.known=new Xt(r),this.requests=new en(s,()=>this.connection?.probe()),this.outbox=new Yt(i,e=>this.ask(e)),this.backoff=new It(a,o)}get hasSession(){return this.current.name===`syncing`||this.current.name===`online`}get state(){return this.current}get waiting(){return this.outbox.waiting}get positions(){return this.known.save()}on(e,t){return this.emitter.on(e,t)}connect(){rn.has(this.current.name)&&(this.current.name!==`waiting`&&this.listenToBrowser(!0),this.current.name===`closed`&&this.backoff.reset(),this.open())}close(){this.run++,this.listenToBrowser(!1),this.clearTimers();let e=new X(`CLOSED`,`The client was closed.`);this.outbox.clear(e),this.requests.fail(e);let t=this.connection;this.connection=void 0,t?.drop(`closed`,1e3),this.held=[],this.onlineSince=0,this.backoff.reset(),this.change({name:`closed`,code:1e3,reason:`The client was closed.`})}request(e,t={}){let n={...t,type:e};if(an.has(e)){let{clientMessageId:e=fn()}=t,r={...n,clientMessageId:e};return this.outbox.add(r)}return this.hasSession?e===`typing`?(this.transmit(JSON.stringify(n)),Promise.resolve()):this.ask(n):Promise.reject(new X(`NOT_CONNECTED`,`There is no session.`))}async open(){let e=++this.run;this.clearTimers(),this.floor=0,this.isSpread=!1,this.change({name:`connecting`,attempt:this.backoff.attempt});try{if(await this.tokens.get(),e!==this.run)return;this.sessionEnd=void 0;let t=this.options.createSocket(this.options.url),n={onOpen:()=>{this.logIn(e)},onText:e=>this.receive(e),onEnd:(t,n)=>this.end(e,t,n)},{heartbeat:r,patience:i}=this.options;this.connection=new Ut(t,n,r,i)}catch(t){e===this.run&&this.retry(0,String(t?.message??t),!1)}}async logIn(e){this.change({name:`authenticating`});let t=await this.tokens.get();for(let n of[!1,!0])try{let n={type:`authenticate`,token:t,presenceBatches:!0},{user:r}=await this.ask(n);if(e!==this.run)return;this.ownId=r.id,this.begin(e,t);return}catch(r){if(e!==this.run||!(r instanceof X))return;if(r.code!==`AUTH_FAILED`){this.floor=(r.retryAfter??0)*1e3,this.connection?.drop(r.message);return}let i=t;if(this.tokens.forget(i),n)return this.stop(1008,r.message);try{t=await this.tokens.get()}catch(t){e===this.run&&this.connection?.drop(String(t));return}if(e!==this.run)return;if(t===i)return this.tokens.forget(i),this.stop(1008,r.message)}}begin(e,t){this.scheduleRefresh(e,t),this.change({name:`syncing`}),this.outbox.open(),this.catchUp(e)}scheduleRefresh(e,t,n=0){this.sessionToken=t;let r=nn(t);r!==void 0&&(this.refreshTimer=setTimeout(async()=>{let n=t,r=0;try{n=await this.tokens.refresh(),e===this.run&&await this.ask({type:`authenticate`,token:n})}catch{n=t,r=cn}e===this.run&&this.scheduleRefresh(e,n,r)},Math.max(r,n)))}async catchUp(e){if(!this.isCatchingUp){this.isCatchingUp=!0,this.clearGapTimer();try{let t=this.known.save(),{firstLimit:n,syncLimit:r}=this.options,i={type:`sync`,...t,limit:t.state?r:n},a,o;do{let t=await this.ask({...i,...a&&{next:a}});if(e!==this.run)return;o??=t,a=t.next,this.takeOver(t)}while(a);this.known.finish(o)}catch(t){if(e!==this.run||!(t instanceof X))return;let n=t.code===`VALIDATION_ERROR`;return n&&this.known.clear(),this.catchUpIn(e,n?0:(t.retryAfter??1)*1e3)}finally{this.isCatchingUp=!1,this.tellHeld(e)}this.current.name===`syncing`&&(this.onlineSince=Date.now(),this.change({name:`online`})),this.known.hasGaps&&this.catchUpIn(e,on)}}tellHeld(e){let t=this.held.splice(0);if(e!==this.run)return;let n=t.filter(e=>this.isFresh(e));for(let e of n)this.tell(e)}isFresh(e){return e.type===sn||this.known.isAhead(e)}catchUpIn(e,t){this.gapTimer??=setTimeout(()=>{this.gapTimer=void 0,(this.known.hasGaps||this.current.name!==`online`)&&this.catchUp(e)},t)}takeOver(e){for(let t of e.conversations){let{conversationId:e,complete:n}=t,r=this.known.knows(e);this.known.merge(t),this.emitter.emit(`sync`,t),r&&!n&&this.emitter.emit(`resync`,{conversationId:e,news:t})}for(let t of e.left)this.known.drop(t),this.held=this.held.filter(e=>Zt(e)!==t),this.emitter.emit(`left`,{conversationId:t})}receive(e){this.emitter.emit(`frame`,{direction:`in`,text:e});let t=JSON.parse(e);t.type===`server_draining`?(this.floor=t.retryAfter*1e3,this.isSpread=!0):t.type===`auth_error`&&t.requestId===void 0?this.sessionEnd=t:t.type===`error`&&!this.hasSession&&(this.floor=(t.retryAfter??0)*1e3),t.type===`pong`&&this.connection?.hearPong(),(this.isCatchingUp||this.current.name===`authenticating`)&&this.isFresh(t)?this.held.push(t):this.tell(t),this.requests.settle(t)}tell(e){if(e.type===sn)return this.tellPresence(e);this.known.note(e)&&this.catchUpIn(this.run,on),this.emitter.emit(e.type,e)}tellPresence({online:e,offline:t,timestamp:n}){for(let[r,i]of[[`user_online`,e],[`user_offline`,t]])for(let e of i)e.id!==this.ownId&&this.emitter.emit(r,{type:r,user:e,timestamp:n})}ask(e){return this.requests.ask(e=>this.transmit(e),e)}transmit(e){this.emitter.emit(`frame`,{direction:`out`,text:e}),this.connection?.send(e)}end(e,t,n){if(e!==this.run)return;t===1009&&this.requests.failLongest(new X(`VALIDATION_ERROR`,`The message is larger than the server takes.`));let{final:r,floor:i,atOnce:a}=Ht(t,n);this.sessionEnd&&this.tokens.forget(this.sessionToken),this.floor=Math.max(this.floor,i);let o=this.sessionEnd?.details||n;r?this.stop(t,o):this.retry(t,o,a)}retry(e,t,n){this.onlineSince&&Date.now()-this.onlineSince>=ln&&this.backoff.reset(),this.leave();let r=this.backoff.attempt,i=this.floor+(this.isSpread?0:this.backoff.next(n));this.retryTimer=setTimeout(()=>{this.open()},i),this.change({name:`waiting`,attempt:r,retryAt:Date.now()+i,code:e,reason:t})}stop(e,t){this.leave(),this.listenToBrowser(!1),this.change({name:`closed`,code:e,reason:t})}leave(){this.run++,this.clearTimers(),this.onlineSince=0,this.held=[],this.outbox.pause();let e=this.connection;this.connection=void 0,e?.drop(`given up`),this.requests.fail(un)}clearTimers(){clearTimeout(this.retryTimer),clearTimeout(this.refreshTimer),this.clearGapTimer()}clearGapTimer(){clearTimeout(this.gapTimer),this.gapTimer=void 0}change(e){this.current=e,this.emitter.emit(`state`,e)}listenToBrowser(e){let t=e?`addEventListener`:`removeEventListener`;for(let[e,n]of[[globalThis,`online`],[globalThis,`offline`],[globalThis.document,`visibilitychange`]])e?.[t]?.(n,this.wake)}wake=e=>{e.type===`visibilitychange`&&document.hidden||(this.current.name===`waiting`?e.type!==`offline`&&!this.floor&&this.open():this.connection?.probe())}},mn=/("token":")[^"]*"/g,hn=class{list=U([]);counts=U({in:0,out:0});#e=0;#t=[];add({direction:e,text:t}){let n=t.replace(mn,`$1…"`),r=/"type":"([a-z_]+)"/.exec(n)?.[1]??``;this.#t.length||requestAnimationFrame(()=>this.#n()),this.#t.push({number:++this.#e,direction:e,text:n,type:r,at:new Date})}clear(){this.list.value=[]}#n(){let e={...this.counts.value};for(let{direction:t}of this.#t)e[t]++;this.counts.value=e,this.list.value=[...this.list.value,...this.#t].slice(-400),this.#t=[]}};function gn(e){let t=[...e].map(([e,{messages:t}])=>[e,t.at(-1)?.seq??0]);return{since:Date.now(),ends:new Map(t),sent:0,came:0,lost:0}}function _n(e,t,n,r){let i=e.ends.get(t.conversationId)??0,a=new Set([...n,...t.changed].map(({seq:e})=>e)),o=t.messages.filter(e=>e.senderId!==r&&e.seq>i).length,s=0;if(t.complete&&!t.hiddenIds.length&&!t.hiddenUpTo)for(let e=i+1;e<=t.seq;e++)a.has(e)||s++;return{...e,came:e.came+o,lost:e.lost+s}}function vn(e){let t=0;for(let{messages:n}of e.values()){let e=n.filter(({clientMessageId:e})=>e).map(({senderId:e,clientMessageId:t})=>`${e} ${t}`);t+=e.length-new Set(e).size}return t}function yn({since:e,sent:t,came:n,lost:r},i){return`Back after ${Math.max(1,Math.round((Date.now()-e)/1e3))} s. Sent from the outbox: ${t}. Caught up with: ${n}. Lost: ${r}. Doubled: ${i}.`}var bn=4e3,xn=class{isCut=U(!1);#e;open=e=>{if(this.isCut.value)throw Error(`the wire is cut`);return this.#e=new WebSocket(e),this.#e};cut(){this.isCut.value=!0,this.#e?.close(bn,`the wire is cut`)}mend(){this.isCut.value=!1}},Sn=4e3,Cn=500,wn=class{me=U(null);state=U({name:`idle`});conversations=U(new Map);selected=U(null);outgoing=U([]);online=U(new Map);announcement=U(``);notice=U(null);drafts=new Map;wire=new xn;frames=new hn;#e;#t=null;#n=new Map;#r=!1;list=G(()=>xt(this.conversations.value));current=G(()=>this.conversations.value.get(this.selected.value)??null);unread=G(()=>this.list.value.reduce((e,{unread:t})=>e+t,0));people=G(()=>this.#b());constructor({url:e,getToken:t,me:n=null,acquaintances:r=[],onFirstOnline:i}){this.onFirstOnline=i,this.#e=r,this.me.value=n,this.client=dn({url:e,getToken:t,createSocket:this.wire.open,firstPause:Cn}),this.#a(),this.client.connect()}async ask(e,t){try{return await this.client.request(e,t)}catch(e){this.say(e.message,!0)}}say(e,t=!1){this.notice.value={text:e,isError:t},this.announcement.value=e}send(e,t,n){let r={clientMessageId:fn(),content:t,...n&&{replyToMessageId:n.id},...e.group?{groupId:e.group.groupId}:{recipientId:e.person.userId}},{clientMessageId:i}=r,a={clientMessageId:i,conversationId:e.id,content:t,replyTo:n,fields:r,error:null};this.outgoing.value=[...this.outgoing.value,a],this.#i(a)}async#i({clientMessageId:e,fields:t}){let n=t.groupId?`send_group_message`:`send_private_message`;try{await this.client.request(n,t)}catch(t){this.outgoing.value=this.outgoing.value.map(n=>n.clientMessageId===e?{...n,error:t.message}:n)}}sendAgain(e){this.outgoing.value=this.outgoing.value.map(t=>t===e?{...e,error:null}:t),this.#i(e)}discard(e){this.outgoing.value=this.outgoing.value.filter(t=>t!==e)}cut(){this.#t=gn(this.conversations.value),this.wire.cut()}mend(){this.wire.mend(),this.client.connect()}close(){this.client.close()}patch(e,t){let n=this.conversations.value.get(e),r=new Map(this.conversations.value);r.set(e,t(n??_t(e))),this.conversations.value=r}drop(e){let t=new Map(this.conversations.value);t.delete(e),this.conversations.value=t,this.selected.value===e&&(this.selected.value=null)}#a(){let{client:e}=this;e.on(`frame`,e=>this.frames.add(e)),e.on(`state`,e=>this.#o(e)),e.on(`connected`,({user:e})=>e&&(this.me.value=e)),e.on(`sync`,e=>this.#f(e)),e.on(`resync`,({conversationId:e})=>this.#p(e)),e.on(`left`,({conversationId:e})=>this.drop(e));for(let t of[`new_private_message`,`new_group_message`])e.on(t,({message:e})=>this.#m(e,!0));for(let t of[`message_sent`,`group_message_sent`,`announcement_sent`])e.on(t,({message:e})=>this.#m(e,!1));for(let t of Et)e.on(t,e=>this.#g(e));e.on(`group_created`,e=>this.#v(e)),e.on(`member_added`,e=>this.#y(e)),e.on(`group_deleted`,({groupId:e})=>this.drop(e)),e.on(`user_online`,({user:e})=>this.#d(e,!0)),e.on(`user_offline`,({user:e})=>this.#d(e,!1)),e.on(`error`,e=>e.requestId??this.say(e.details,!0))}#o(e){let t=this.state.value.name;this.state.value=e,e.name===`waiting`&&t!==`waiting`&&(t===`online`&&(this.announcement.value=`Connection lost.`),t===`online`&&(this.#t??=gn(this.conversations.value))),e.name===`closed`&&e.code!==1e3&&this.say(`Not connected: ${e.reason||e.code}`,!0),e.name===`online`&&this.#s()}async#s(){if(await Promise.all([this.#l(),this.#u()]),this.#r||this.onFirstOnline?.(),this.#r=!0,!this.#t)return;this.outgoing.value.filter(({error:e})=>!e).length&&await new Promise(e=>this.#c(e));let e=yn(this.#t,vn(this.conversations.value));this.#t=null,this.say(e)}#c(e){let t=this.outgoing.subscribe(n=>{n.some(({error:e})=>!e)||(queueMicrotask(()=>t()),e())})}async#l(){let e=await this.ask(`get_conversations`,{limit:200});for(let{conversationId:t,participant:n,group:r,lastMessage:i}of e?.conversations??[])this.patch(t,e=>({...e,person:n??null,group:r?{...r,...e.group}:e.group,at:e.at||i.timestamp}))}async#u(){let e=await this.ask(`get_online_users`,{});e&&(this.online.value=new Map(e.users.map(e=>[e.userId,e])))}#d(e,t){let n=new Map(this.online.value);t?n.set(e.userId,e):n.delete(e.userId),this.online.value=n}#f(e){let t=e.conversationId,n=this.me.value.userId,r=!this.conversations.value.has(t);if(r&&e.hidden)return;this.patch(t,t=>Ct(t,e,n));for(let t of e.messages)this.#h(t);let i=this.conversations.value.get(t).messages;this.#t&&=_n(this.#t,e,i,n),r&&e.groupId&&!e.members&&this.readMembers(t)}#p(e){let t=vt(this.conversations.value.get(e));this.say(`Much has happened in ${t}: its history was read again.`)}#m(e,t){let n=e.conversationId,r=!this.conversations.value.has(n);this.patch(n,t=>St(t,e,this.me.value.userId)),this.#h(e),t&&(this.announcement.value=`${e.username}: ${e.content}`),r&&this.#l()}#h({clientMessageId:e}){if(!e)return;let t=this.outgoing.value.filter(t=>t.clientMessageId!==e);t.length!==this.outgoing.value.length&&(this.#t&&={...this.#t,sent:this.#t.sent+1},this.outgoing.value=t)}#g(e){let{type:t,userId:n,conversationId:r}=e,i=this.me.value.userId;if((t===`member_removed`||t===`member_left`)&&n===i)return this.drop(r);this.conversations.value.has(r)&&(this.patch(r,t=>Dt(t,e,i)),t===`user_typing`&&this.#_(e))}#_(e){let t=`${e.conversationId} ${e.userId}`;if(clearTimeout(this.#n.get(t)),!e.isTyping)return;let n=setTimeout(()=>this.#g({...e,isTyping:!1}),Sn);this.#n.set(t,n)}#v({groupId:e,group:t,members:n}){this.patch(e,e=>({...e,group:t,members:n,at:e.at||t.createdAt}))}async#y({groupId:e,userId:t}){await this.readMembers(e),t===this.me.value.userId&&this.say(`You are in the group ${vt(this.conversations.value.get(e))} now.`)}async readMembers(e){let[t,n]=await Promise.all([this.ask(`get_group_info`,{groupId:e}),this.ask(`get_group_members`,{groupId:e})]);if(!t||!n)return;let{members:r}=n;this.patch(e,e=>({...e,group:t.group,members:r,at:e.at||t.group.createdAt}))}#b(){let e=new Map(this.#e.map(e=>[e.userId,e]));for(let t of this.online.value.values())e.set(t.userId,t);for(let{person:t,members:n}of this.conversations.value.values())for(let r of t?[t]:n)e.set(r.userId,r);return e.delete(this.me.value?.userId),[...e.values()].sort((e,t)=>e.displayName.localeCompare(t.displayName))}},Tn=`${location.protocol===`https:`?`wss`:`ws`}://${location.host}`,En=`(min-width: 60rem)`;async function Dn(e){let t=await fetch(`/demo/tokens`,{method:`POST`,body:JSON.stringify({key:e})}),n=await t.json();if(!t.ok)throw Object.assign(Error(n.details),{status:t.status});return n.users}function On(e,t){if(e.selected.value||!matchMedia(En).matches)return;let[n]=e.list.value;n?e.selected.value=n.id:Nt(e,t.find(({userId:t})=>t!==e.me.value.userId).userId)}async function kn(){let e=location.hash.slice(1),t=[],n=``;try{e&&(t=await Dn(e))}catch(e){n=e.status===404?``:e.message}let r=n=>{let r=new wn({url:Tn,me:n,acquaintances:t,getToken:async()=>(await Dn(e)).find(({userId:e})=>e===n.userId).token,onFirstOnline:()=>On(r,t)});return r};return{users:t,problem:n,enter:r,open:e=>t.filter(({username:t})=>e.includes(t)).map(r),signIn:e=>new wn({url:Tn,getToken:()=>e})}}var An=`fastchat_send_to_ack_seconds_bucket`,jn=/^([a-z_]+)(?:\{([^}]*)\})? (\S+)$/;function Mn(e){let t={stored:0,delivered:0,buckets:[],workers:[]};for(let n of e.split(`
`)){let[,e,r=``,i]=jn.exec(n)??[],a=/="([^"]*)"/.exec(r)?.[1];e===`fastchat_messages_stored_total`&&(t.stored=Number(i)),e===`fastchat_messages_out_total`&&(t.delivered=Number(i)),e===`fastchat_worker_connections`&&t.workers.push([a,Number(i)]),e===An&&t.buckets.push([a===`+Inf`?1/0:+a,+i])}return t}function Nn(e,t){let n=e.at(-1)?.[1]??0;if(n<=0)return null;let[r,i]=[0,0];for(let[a,o]of e){if(o>=t*n){if(a===1/0)return r*1e3;let e=(t*n-i)/(o-i||1);return(r+(a-r)*e)*1e3}[r,i]=[a,o]}return r*1e3}var Pn=1e3,Fn=U([]),In=U(!1),Ln=[],Rn;function zn(){let e=async()=>{await Bn(),Rn=setTimeout(e,Pn)};return e(),()=>clearTimeout(Rn)}async function Bn(){try{let e=Mn(await(await fetch(`/metrics/prometheus`)).text());e.at=performance.now(),Ln=[...Ln,e].slice(-11),In.value=!0,Ln.length>1&&(Fn.value=[...Fn.value,Vn()].slice(-90))}catch{In.value=!1}}function Vn(){let[e,t,n]=[Ln[0],Ln.at(-2),Ln.at(-1)],r=(n.at-t.at)/1e3,i=e=>Math.max(0,(n[e]-t[e])/r),a=n.buckets.map(([t,n],r)=>[t,n-(e.buckets[r]?.[1]??0)]);return{at:n.at,stored:i(`stored`),delivered:i(`delivered`),p50:Nn(a,.5),p99:Nn(a,.99),workers:n.workers}}var[Hn,Z]=[360,96];function Un(){let e=Fn.value,t=e.at(-1),n=e=>e>=100?e.toFixed(0):e.toFixed(1),r=e=>e==null?`–`:`${e.toFixed(1)} ms`;return Y`<section class="tools charts" aria-label="Charts">
    ${!In.value&&Y`<p class="hint">The server does not answer.</p>`}
    <${Wn}
      title="Messages/s"
      list=${e}
      lines=${[{name:`stored`,value:({stored:e})=>e,now:t&&n(t.stored)},{name:`sent out`,value:({delivered:e})=>e,now:t&&n(t.delivered)}]}
      least=${5}
    />
    <${Wn}
      title="Send to disk, 10 s"
      list=${e}
      lines=${[{name:`p50`,value:({p50:e})=>e,now:r(t?.p50)},{name:`p99`,value:({p99:e})=>e,now:r(t?.p99)}]}
      unit=" ms"
      least=${2}
    />
    <${qn} workers=${t?.workers??[]} />
  </section>`}function Wn({title:e,list:t,lines:n,unit:r=``,least:i}){let a=t.flatMap(e=>n.map(({value:t})=>t(e)??0)),o=Kn(Math.max(i,...a)),s=n.map(({name:e,now:t})=>`${e} ${t??`–`}`).join(`, `);return Y`<figure>
    <figcaption>
      <h3>${e}</h3>
      ${n.map(({name:e,now:t},n)=>Y`<span key=${e} class=${`key is-${n}`}>
          ${e} <b>${t??`–`}</b>
        </span>`)}
    </figcaption>
    <svg viewBox=${`0 0 ${Hn} ${Z}`} role="img" aria-label=${`${e}: ${s}`} preserveAspectRatio="none">
      ${[.25,.5,.75].map(e=>Y`<line class="grid" x1="0" x2=${Hn} y1=${Z*e} y2=${Z*e} />`)}
      ${n.map(({value:e},n)=>Y`
        <path class=${`area is-${n}`} d=${Gn(t,e,o,!0)} />
        <path class=${`line is-${n}`} d=${Gn(t,e,o,!1)} />
      `)}
    </svg>
    <p class="scale" aria-hidden="true"><span>${o}${r}</span><span>0</span></p>
  </figure>`}function Gn(e,t,n,r){let i=Hn/89,a=Hn-(e.length-1)*i,o=[[]];return e.forEach((e,r)=>{let s=t(e);s===null?o.push([]):o.at(-1).push([a+r*i,Z-Math.min(s,n)/n*(Z-2)-1])}),o.filter(e=>e.length).map(e=>{let t=e.map(([e,t])=>`${e.toFixed(1)} ${t.toFixed(1)}`).join(`L`);return r?`M${e[0][0].toFixed(1)} ${Z}L${t}L${e.at(-1)[0].toFixed(1)} ${Z}Z`:`M${t}`}).join(``)}function Kn(e){let t=10**Math.floor(Math.log10(e));return[1,2,5,10].map(e=>e*t).find(t=>t>=e)}function qn({workers:e}){let t=Math.max(1,...e.map(([,e])=>e));return Y`<figure>
    <figcaption><h3>Connections per worker</h3></figcaption>
    <ul class="workers">
      ${e.map(([e,n])=>Y`<li key=${e}>
          <span>worker ${e}</span>
          <meter min="0" max=${t} value=${n} aria-label=${`worker ${e}`}></meter>
          <b>${n}</b>
        </li>`)}
    </ul>
  </figure>`}var Jn={back:`M15 5l-7 7 7 7`,bolt:`M13 3L5 13.500h6L10 21l8-10.500h-6z`,chart:`M4 20V10m5.500 10V4M15 20v-7m5 7V8`,check:`M5 12.500l4.500 4.500L19 7.500`,checks:`M2 12.500l4.500 4.500L16 7.500M11.500 16l1 1L22 7.500`,clock:`M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z`,close:`M6 6l12 12M18 6L6 18`,code:`M9 7l-5 5 5 5m6-10l5 5-5 5`,cut:`M6 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm0 12a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8.200 8.200L20 20M8.200 15.800L20 4`,edit:`M4 20h4L19 9l-4-4L4 16zM13 7l4 4`,group:`M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zm-6 9c0-3.500 2.500-6 6-6s6 2.500 6 6m1-9a3 3 0 1 0-1-5.800M17 14c2.500.500 4 2.800 4 6`,help:`M9 9a3 3 0 1 1 4.500 2.600c-1 .600-1.500 1.200-1.500 2.400m0 3v.100M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z`,leave:`M14 4h5v16h-5M10 8l-4 4 4 4m-4-4h10`,link:`M9 15l6-6m-4-2l2-2a4.200 4.200 0 0 1 6 6l-2 2m-4 4l-2 2a4.200 4.200 0 0 1-6-6l2-2`,moon:`M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z`,pin:`M9 4h6l-1 6 4 4H6l4-4zM12 14v7`,plus:`M12 5v14M5 12h14`,reply:`M10 6l-6 6 6 6m-6-6h9c4 0 7 2 7 6`,send:`M4 12l16-8-5 17-3.500-7z`,smile:`M8.500 14.500c1 1.300 2.200 2 3.500 2s2.500-.700 3.500-2M9 9.500v.100m6-.100v.100M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z`,sun:`M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zm0-6v2m0 16v2M2 12h2m16 0h2M5 5l1.400 1.400m11.200 11.200L19 19M5 19l1.400-1.400M17.600 6.400L19 5`,trash:`M5 7h14M10 7V4h4v3m-7 0l1 13h8l1-13`,warn:`M12 9v4m0 3.500v.100M12 4L2.500 20h19z`};function Q({name:e}){return Y`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${Jn[e]} /></svg>`}function $({icon:e,label:t,...n}){return Y`<button type="button" class="icon-button" aria-label=${t} title=${t} ...${n}>
    <${Q} name=${e} />
  </button>`}var Yn=8;function Xn({id:e,name:t,isOnline:n,isGroup:r}){let i=[...String(e)].reduce((e,t)=>e*31+t.charCodeAt(0),7)%Yn,a=t.split(/\s+/).slice(0,2).map(e=>[...e][0]??``).join(``);return Y`<span class=${`avatar hue-${Math.abs(i)} ${r?`of-group`:``}`} aria-hidden="true">
    ${a.toUpperCase()}
    ${n&&Y`<span class="presence"></span>`}
  </span>`}var Zn=[[`Alt 1, Alt 2`,`go to the first or the second user`],[`Alt ↑, Alt ↓`,`the conversation above or below`],[`Enter`,`send; with Shift a new line`],[`↑ in an empty field`,`edit the last own message`],[`Esc`,`forget a reply or an edit, close what is open`],[`↑, ↓ on a message`,`the message above or below`],[`R, E, P, Delete on a message`,`reply, edit, pin, delete`],[`1 to 6 on a message`,`react`],[`@`,`mention a member of the group`],[`?`,`this list`]];function Qn({dialog:e}){return Y`<dialog ref=${e} class="dialog" aria-labelledby="help-title">
    <header>
      <h2 id="help-title">Keys</h2>
      <${$} icon="close" label="Close" onClick=${()=>e.current.close()} />
    </header>
    <dl class="keys">
      ${Zn.map(([e,t])=>Y`<dt><kbd>${e}</kbd></dt><dd>${t}</dd>`)}
    </dl>
    <p class="hint">
      Cut the wire of one user, write with both, and mend it: what was written meanwhile arrives
      once, in order.
    </p>
  </dialog>`}var $n=new Intl.DateTimeFormat(void 0,{hour:`2-digit`,minute:`2-digit`,hourCycle:`h23`}),er=new Intl.DateTimeFormat(void 0,{weekday:`long`,day:`numeric`,month:`long`});function tr(e){return e?$n.format(new Date(e)):``}function nr(e){return er.format(new Date(e))}function rr(e){return e.toISOString().slice(11,23)}var ir=new Set([`ping`,`pong`,`user_typing`,`typing`]),ar=40;function or({sessions:e,front:t}){let[n,r]=L(``),[i,a]=L(!0);return Y`<section class="tools inspector" aria-label="Inspector">
    <header>
      <h2>Frames</h2>
      <input
        type="search"
        aria-label="Show frames with this text"
        placeholder="Filter"
        value=${n}
        onInput=${e=>r(e.target.value)}
      />
      <label class="check">
        <input type="checkbox" checked=${i} onChange=${()=>a(!i)} />without pings and typing
      </label>
      <button type="button" class="plain" onClick=${()=>e.forEach(({frames:e})=>e.clear())}>Clear</button>
    </header>
    <div class="frame-columns">
      ${e.map((e,r)=>Y`<${sr}
          key=${r}
          isFront=${r===t}
          session=${e}
          filter=${n}
          isQuiet=${i}
        />`)}
    </div>
  </section>`}function sr({session:e,isFront:t,filter:n,isQuiet:r}){let i=z(),a=z(!0),[o,s]=L(null),{list:c,counts:l}=e.frames,u=n.toLowerCase(),d=c.value.filter(({type:e,text:t})=>!(r&&ir.has(e))&&t.toLowerCase().includes(u));return we(()=>{a.current&&(i.current.scrollTop=i.current.scrollHeight)},[d.length,c.value]),Y`<div class=${t?`frame-column is-front`:`frame-column`}>
    <h3>${e.me.value?.displayName??`…`} <small>↑ ${l.value.out} ↓ ${l.value.in}</small></h3>
    <ol class="frames" ref=${i} onScroll=${()=>{let{scrollTop:e,scrollHeight:t,clientHeight:n}=i.current;a.current=t-e-n<ar}} tabindex="0" aria-label="Frames">
      ${d.map(e=>Y`<${cr}
          key=${e.number}
          frame=${e}
          isOpen=${o===e.number}
          onToggle=${()=>s(o===e.number?null:e.number)}
        />`)}
    </ol>
  </div>`}function cr({frame:e,isOpen:t,onToggle:n}){let{direction:r,text:i,type:a,at:o}=e,[s,c]=r===`in`?[`↓`,`received`]:[`↑`,`sent`];return Y`<li class=${`is-${r}`}>
    <button type="button" aria-expanded=${t} onClick=${n}>
      <span class="arrow" role="img" aria-label=${c}>${s}</span>
      <time>${rr(o)}</time><b>${a}</b><span class="raw">${i}</span>
    </button>
    ${t&&Y`<pre>${JSON.stringify(JSON.parse(i),null,2)}</pre>`}
  </li>`}function lr({dialog:e,title:t,children:n}){return Y`<dialog ref=${e} class="dialog" aria-label=${t}>
    <header>
      <h2>${t}</h2>
      <${$} icon="close" label="Close" onClick=${()=>e.current.close()} />
    </header>
    ${n}
  </dialog>`}function ur({dialog:e,session:t}){let[n,r]=L(``),i=n=>{e.current.close(),r(``),Nt(t,n)};return Y`<${lr} dialog=${e} title="New chat">
    <div class="people">
      ${t.people.value.map(e=>Y`<button type="button" key=${e.userId} onClick=${()=>i(e.userId)}>
          <${Xn}
            id=${e.userId}
            name=${e.displayName}
            isOnline=${t.online.value.has(e.userId)}
          />${e.displayName}
        </button>`)}
    </div>
    <form onSubmit=${e=>{e.preventDefault(),n.trim()&&i(n.trim())}}>
      <label>
        Or the id of a user
        <input value=${n} onInput=${e=>r(e.target.value)} />
      </label>
      <button class="primary" disabled=${!n.trim()}>Open</button>
    </form>
  <//>`}function dr({dialog:e,session:t}){let[n,r]=L(``),[i,a]=L(``),[o,s]=L(``),[c,l]=L(new Set),u=e=>{let t=new Set(c);t.delete(e)||t.add(e),l(t)};return Y`<${lr} dialog=${e} title="New group">
    <form onSubmit=${async u=>{u.preventDefault();let d=o.split(/[\s,]+/).filter(Boolean),f=await t.ask(`create_group`,{groupName:n.trim(),groupDescription:i.trim(),initialMembers:[...new Set([...c,...d])]});f&&(t.selected.value=f.groupId,[r,a,s].forEach(e=>e(``)),l(new Set),e.current.close())}}>
      <label>
        Name
        <input maxlength="100" value=${n} onInput=${e=>r(e.target.value)} />
      </label>
      <label>
        What it is about
        <input maxlength="500" value=${i} onInput=${e=>a(e.target.value)} />
      </label>
      <fieldset>
        <legend>Members</legend>
        ${t.people.value.map(({userId:e,displayName:t})=>Y`<label class="check" key=${e}>
            <input
              type="checkbox"
              checked=${c.has(e)}
              onChange=${()=>u(e)}
            />${t}
          </label>`)}
        <label>
          Ids of others
          <input value=${o} onInput=${e=>s(e.target.value)} />
        </label>
      </fieldset>
      <button class="primary" disabled=${!n.trim()}>Create</button>
    </form>
  <//>`}function fr({session:e}){let t=z(),n=z(),r=e.list.value;return Y`<nav class="conversations" aria-label=${`Conversations of ${e.me.value?.displayName??`nobody yet`}`}>
    <div class="new">
      <button type="button" onClick=${()=>t.current.showModal()}>
        <${Q} name="plus" />Chat
      </button>
      <button type="button" onClick=${()=>n.current.showModal()}>
        <${Q} name="group" />Group
      </button>
    </div>
    <ul>
      ${r.map(t=>Y`<${pr} key=${t.id} session=${e} conversation=${t} />`)}
    </ul>
    ${!r.length&&Y`<${gr} session=${e} />`}
    <${ur} dialog=${t} session=${e} />
    <${dr} dialog=${n} session=${e} />
  </nav>`}function pr({session:e,conversation:t}){let{id:n,unread:r,isMentioned:i,person:a,group:o,at:s}=t,c=n===e.selected.value,l=vt(t),u=a&&e.online.value.has(a.userId);return Y`<li>
    <button
      type="button"
      class="entry"
      aria-current=${c?`true`:void 0}
      onClick=${()=>e.selected.value=n}
    >
      <${Xn} id=${a?.userId??n} name=${l} isOnline=${u} isGroup=${o} />
      <span class="entry-name">${l}</span>
      <time>${tr(s)}</time>
      <span class="entry-more">
        <span class="entry-text">${hr(e,t)}</span>
        ${i&&Y`<span class="badge is-mention">@<span class="unseen">mentions you</span></span>`}
        ${r>0&&Y`<${mr} count=${r} />`}
      </span>
    </button>
  </li>`}function mr({count:e}){return Y`<span class="badge">
    ${e>99?`99+`:e}<span class="unseen"> unread</span>
  </span>`}function hr(e,t){let n=Object.values(t.typing);if(n.length)return Y`<em>${n.join(`, `)} …</em>`;let r=yt(t);if(!r)return t.group?`${t.members.length} members`:`No messages yet`;let i=r.senderId===e.me.value?.userId?`You`:t.group&&r.username;return i?`${i}: ${r.content}`:r.content}function gr({session:e}){let t=e.people.value;return t.length?Y`<div class="suggestions">
    <p class="hint">People</p>
    ${t.map(({userId:t,displayName:n})=>Y`<button
        type="button"
        key=${t}
        onClick=${()=>Nt(e,t)}
      >
        <${Xn} id=${t} name=${n} isOnline=${e.online.value.has(t)} />
        ${n}
      </button>`)}
  </div>`:Y`<p class="hint">Nobody else is here yet.</p>`}var _r={idle:`Not connected`,connecting:`Connecting…`,authenticating:`Logging in…`,syncing:`Catching up…`,online:`Online`,closed:`Not connected`};function vr({session:e}){let t=e.state.value,n=e.outgoing.value.length,r=yr(t.name===`waiting`?t.retryAt:null),i=t.name===`waiting`,a=i?`Next try in ${r} s`:_r[t.name];return Y`<div class=${`status is-${t.name}`} data-state=${t.name} title=${t.reason||void 0}>
    <span class="dot" aria-hidden="true"></span>
    <span class="status-text">${a}</span>
    ${n>0&&Y`<span class="outbox" title="Messages that wait in the outbox">${n} waiting</span>`}
    ${i&&Y`<button type="button" class="plain" onClick=${()=>e.client.connect()}>Now</button>`}
  </div>`}function yr(e){let[,t]=L(0);return R(()=>{if(e===null)return;let n=setInterval(()=>t(e=>e+1),200);return()=>clearInterval(n)},[e]),e===null?0:Math.max(0,Math.ceil((e-Date.now())/1e3))}var br=2e3,xr=`(min-width: 60rem)`;function Sr({session:e,conversation:t,draft:n}){let r=z(),[i,a]=L(e.drafts.get(t.id)??``),[o,s]=L(0),[c,l]=L(0),u=Er(e,t),{kind:d,message:f}=n.value??{},p=Tr(t,e.me.value,i,o);we(()=>{d===`edit`&&a(f.content),d&&r.current.focus()},[n.value]),R(()=>{r.current.closest(`.pane`).contains(document.activeElement)&&matchMedia(xr).matches&&r.current.focus()},[]),R(()=>{d!==`edit`&&e.drafts.set(t.id,i),r.current.style.height=`auto`,r.current.style.height=`${r.current.scrollHeight}px`},[i]);let m=()=>{n.value=null,a(``)},h=async n=>{if(n?.preventDefault(),i.trim()){if(u(!1),d===`edit`){let{id:t,conversationId:n}=f;if(!await e.ask(`edit_message`,{messageId:t,conversationId:n,content:i}))return}else e.send(t,i,d===`reply`?f:null);m()}},g=e=>{let t=`${i.slice(0,p.start)}@${e} `;a(t+i.slice(p.end)),s(t.length),l(0),r.current.focus()};return Y`<form class="composer" onSubmit=${h}>
    ${d&&Y`<div class="draft">
      <${Q} name=${d} />
      <p><b>${d===`edit`?`Edit`:`Reply to ${f.username}`}</b><span>${f.content}</span></p>
      <${$} icon="close" label="Never mind" onClick=${m} />
    </div>`}
    ${p.names.length>0&&Y`<ul class="mentions" role="listbox" aria-label="Members">
      ${p.names.map((e,t)=>Y`<li key=${e} role="option" aria-selected=${t===c}>
          <button type="button" tabindex="-1" onClick=${()=>g(e)}>@${e}</button>
        </li>`)}
    </ul>`}
    <div class="row">
      <textarea
        ref=${r}
        rows="1"
        aria-label="Message"
        placeholder="Write a message"
        value=${i}
        onInput=${e=>{a(e.target.value),s(e.target.selectionStart),u(e.target.value.trim()!==``)}}
        onSelect=${e=>s(e.target.selectionStart)}
        onKeyDown=${r=>{if(r.isComposing||r.altKey)return;let{key:a}=r,o=p.names.length>0;if(o&&(a===`ArrowUp`||a===`ArrowDown`))l((c+(a===`ArrowUp`?-1:1)+p.names.length)%p.names.length);else if(o&&(a===`Enter`||a===`Tab`))g(p.names[c]??p.names[0]);else if(a===`Enter`&&!r.shiftKey)h();else if(a===`Escape`&&n.value)m();else if(a===`ArrowUp`&&!i)Cr(e,t,n);else return;r.preventDefault()}}
      ></textarea>
      <button class="primary send" aria-label="Send" title="Send" disabled=${!i.trim()}>
        <${Q} name=${d===`edit`?`check`:`send`} />
      </button>
    </div>
  </form>`}function Cr(e,t,n){let r=e.me.value.userId,i=t.messages.findLast(({senderId:e})=>e===r);i&&(n.value={kind:`edit`,message:i})}var wr=6;function Tr({group:e,members:t},n,r,i){let a=e&&/(?:^|\s)@(\S*)$/.exec(r.slice(0,i));if(!a)return{names:[]};let o=a[1].toLowerCase();return{names:[...t.filter(({userId:e})=>e!==n.userId).map(({username:e})=>e),`everyone`].filter(e=>e.toLowerCase().startsWith(o)).slice(0,wr),start:i-a[1].length-1,end:i}}function Er(e,{person:t,group:n}){let r=z(0);return i=>{let a=Date.now();if(i?a-r.current<br:!r.current)return;r.current=i?a:0;let o=n?{groupId:n.groupId}:{recipientId:t.userId};e.client.request(`typing`,{...o,isTyping:i}).catch(()=>void 0)}}function Dr({session:e,conversation:t,onClose:n}){let{group:r,members:i}=t,a=e.me.value.userId,o=bt(t,a),s=i.find(({userId:e})=>e===a);return R(()=>{i.length||e.readMembers(r.groupId)},[r.groupId]),Y`<aside class="side" aria-label="Members">
    <header>
      <h3>${i.length} members</h3>
      <${$} icon="close" label="Close" onClick=${n} />
    </header>
    <ul class="members">
      ${i.map(t=>Y`<${Or}
          key=${t.userId}
          session=${e}
          group=${r}
          member=${t}
          role=${o}
          isMe=${t.userId===a}
        />`)}
    </ul>
    ${(o!==`member`||s?.canAddMembers)&&Y`<${Ar} session=${e} group=${r} members=${i} />`}
    ${o!==`member`&&Y`<${jr} session=${e} group=${r} />`}
    <${Mr} session=${e} group=${r} role=${o} />
  </aside>`}function Or({session:e,group:t,member:n,role:r,isMe:i}){let{userId:a,displayName:o,canSendMessages:s}=n,c={groupId:t.groupId,userId:a},l=(t,n)=>()=>e.ask(t,{...c,...n}),u=r===`owner`,d=u||r===`admin`&&n.role===`member`,f=[u&&n.role===`member`&&[`Make admin`,l(`promote_member`)],u&&n.role===`admin`&&[`Make member`,l(`demote_member`)],s?[`Read only`,l(`set_member_permissions`,{canSendMessages:!1})]:[`Let write`,l(`set_member_permissions`,{canSendMessages:!0})],u&&[`Hand the group over`,l(`transfer_ownership`)],[`Remove`,l(`remove_group_member`),`danger`]];return Y`<li>
    <${Xn} id=${a} name=${o} isOnline=${e.online.value.has(a)} />
    <span class="member-name">${o}${i&&` (you)`}</span>
    <span class=${`role is-${n.role}`}>${n.role}</span>
    ${!s&&Y`<span class="role">read only</span>`}
    ${!i&&d&&Y`<${kr} name=${o} choices=${f} />`}
  </li>`}function kr({name:e,choices:t}){return Y`<details class="menu">
    <summary aria-label=${`What to do about ${e}`}>⋯</summary>
    <div>
      ${t.filter(Boolean).map(([e,t,n])=>Y`<button type="button" key=${e} class=${n} onClick=${t}>${e}</button>`)}
    </div>
  </details>`}function Ar({session:e,group:t,members:n}){let[r,i]=L(``),a=new Set(n.map(e=>e.userId)),o=e.people.value.filter(e=>!a.has(e.userId)),s=async n=>{await e.ask(`add_group_member`,{groupId:t.groupId,userId:n})&&i(``)};return Y`<form class="side-form" onSubmit=${e=>{e.preventDefault(),r.trim()&&s(r.trim())}}>
    ${o.map(({userId:e,displayName:t})=>Y`<button type="button" key=${e} onClick=${()=>s(e)}>
        Add ${t}
      </button>`)}
    <div class="row">
      <input
        aria-label="Id of a user"
        placeholder="Id of a user"
        value=${r}
        onInput=${e=>i(e.target.value)}
      />
      <button disabled=${!r.trim()}>Add</button>
    </div>
  </form>`}function jr({session:e,group:t}){let[n,r]=L(t.groupName);return R(()=>r(t.groupName),[t.groupName]),Y`<form class="side-form" onSubmit=${r=>{r.preventDefault(),e.ask(`update_group_info`,{groupId:t.groupId,groupName:n.trim()})}}>
    <div class="row">
      <input
        aria-label="Name of the group"
        maxlength="100"
        value=${n}
        onInput=${e=>r(e.target.value)}
      />
      <button disabled=${!n.trim()||n.trim()===t.groupName}>Rename</button>
    </div>
  </form>`}function Mr({session:e,group:t,role:n}){let[r,i]=L(!1),[a,o]=n===`owner`?[`delete_group`,`Delete the group`]:[`leave_group`,`Leave the group`];return r?Y`<div class="question">
    <button type="button" class="danger" onClick=${async()=>{let{groupId:n}=t;await e.ask(a,{groupId:n})&&e.drop(n)}}>${o}</button>
    <button type="button" onClick=${()=>i(!1)}>No</button>
  </div>`:Y`<button type="button" class="plain danger" onClick=${()=>i(!0)}>${o}</button>`}function Nr({message:e,onClick:t}){return e?Y`<button type="button" class="quote" onClick=${t}>
    <b>${e.username}</b><span>${e.content}</span>
  </button>`:Y`<p class="quote is-gone">An earlier message</p>`}var Pr=[`👍`,`❤️`,`😂`,`🎉`,`😮`,`🙏`];function Fr({session:e,conversation:t,message:n,isFirst:r,isLast:i,isRead:a,draft:o}){let[s,c]=L(!1),l=e.me.value.userId,u=n.senderId===l,d=Ir(e,t,n,o,c);return Y`<li
    class=${[`message`,u&&`is-mine`,r&&`is-first`,n.isPinned&&`is-pinned`].filter(Boolean).join(` `)}
    tabindex=${i?0:-1}
    data-id=${n.id}
    aria-label=${`${n.username}, ${tr(n.timestamp)}: ${n.content}`}
    onKeyDown=${e=>{if(e.target!==e.currentTarget||e.ctrlKey||e.metaKey||e.altKey)return;let t={r:d.reply,e:d.edit,p:d.pin,Delete:d.ask}[e.key],n=Pr[Number(e.key)-1];(t||n)&&(e.preventDefault(),t?t():d.react(n))}}
  >
    ${r&&!u&&t.group&&Y`<p class="sender">${n.username}</p>`}
    <div class="bubble">
      ${n.replyToMessageId&&Y`<${Br} conversation=${t} id=${n.replyToMessageId} />`}
      <p class="content"><${Vr} message=${n} me=${e.me.value} /></p>
      <p class="meta">
        ${n.isAnnouncement&&Y`<span>announcement</span>`}
        ${n.isPinned&&Y`<${Q} name="pin" />`}
        ${n.editedAt&&Y`<span>edited</span>`}
        <time>${tr(n.timestamp)}</time>
        ${u&&Y`<${Ur} kind=${a?`read`:`sent`} />`}
      </p>
      <${Lr} actions=${d} />
    </div>
    <${zr} message=${n} me=${l} onReact=${d.react} />
    ${s&&Y`<${Rr} actions=${d} onClose=${()=>c(!1)} />`}
  </li>`}function Ir(e,t,n,r,i){let{id:a,conversationId:o}=n,s=e.me.value.userId,c=n.senderId===s,l=t.group&&bt(t,s)!==`member`,u={messageId:a,conversationId:o},d=()=>e.ask(n.isPinned?`unpin_message`:`pin_message`,u),f=t=>e.ask(`delete_message`,{...u,deleteForEveryone:t});return{isPinned:n.isPinned,reply:()=>r.value={kind:`reply`,message:n},edit:c?()=>r.value={kind:`edit`,message:n}:void 0,pin:!t.group||l?d:void 0,react:t=>e.ask(`add_reaction`,{...u,reaction:t}),ask:()=>i(!0),deleteForMe:()=>f(!1),deleteForAll:c||l?()=>f(!0):void 0}}function Lr({actions:e}){let[t,n]=L(!1),r=e.isPinned?`Unpin`:`Pin`,i=t=>{n(!1),e.react(t)};return Y`<div class="toolbar" role="toolbar" aria-label="Actions">
    ${t?Pr.map(e=>Y`<button type="button" key=${e} class="emoji" onClick=${()=>i(e)}>${e}</button>`):Y`
          <${$} icon="smile" label="React" onClick=${()=>n(!0)} />
          <${$} icon="reply" label="Reply" onClick=${e.reply} />
          ${e.edit&&Y`<${$} icon="edit" label="Edit" onClick=${e.edit} />`}
          ${e.pin&&Y`<${$} icon="pin" label=${r} onClick=${e.pin} />`}
          <${$} icon="trash" label="Delete" onClick=${e.ask} />
        `}
  </div>`}function Rr({actions:e,onClose:t}){let n=e=>()=>{t(),e()};return Y`<div class="question" role="group" aria-label="Delete this message?">
    ${e.deleteForAll&&Y`<button type="button" class="danger" onClick=${n(e.deleteForAll)}>Delete for everyone</button>`}
    <button type="button" onClick=${n(e.deleteForMe)}>Delete for me</button>
    <button type="button" onClick=${t}>Keep</button>
  </div>`}function zr({message:e,me:t,onReact:n}){return e.reactions.length?Y`<div class="reactions">
    ${gt(e.reactions).map(({reaction:e,names:r,userIds:i})=>Y`<button
        type="button"
        key=${e}
        aria-pressed=${i.includes(t)}
        title=${r.join(`, `)}
        aria-label=${`${e} by ${r.join(`, `)}`}
        onClick=${()=>n(e)}
      >
        ${e} ${r.length>1?r.length:``}
      </button>`)}
  </div>`:null}function Br({conversation:e,id:t}){return Y`<${Nr} message=${e.messages.find(e=>e.id===t)} onClick=${e=>{let n=e.currentTarget.closest(`.messages`).querySelector(`[data-id="${CSS.escape(t)}"]`);n?.scrollIntoView({block:`center`}),n?.focus({preventScroll:!0})}} />`}function Vr({message:e,me:t}){let n=new Set;for(let t of e.mentions??[])for(let e of t.type===`everyone`?[`everyone`,`all`]:[t.username])n.add(e.toLowerCase());return n.size?e.content.split(/((?<=^|\s)@[^\s,.;:!?]+)/).map(e=>{let r=e.startsWith(`@`)?e.slice(1).toLowerCase():``;return n.has(r)?Y`<mark class=${r===t.username.toLowerCase()||r===`everyone`||r===`all`?`mention is-me`:`mention`}>${e}</mark>`:e}):e.content}var Hr={pending:[`clock`,`pending`],sent:[`check`,`sent`],read:[`checks`,`read`],failed:[`warn`,`not sent`]};function Ur({kind:e}){let[t,n]=Hr[e];return Y`<span class=${`mark is-${e}`} role="img" aria-label=${n} title=${n}>
    <${Q} name=${t} />
  </span>`}function Wr({session:e,one:t}){return Y`<li class="message is-mine is-outgoing">
    <div class="bubble">
      ${t.replyTo&&Y`<${Nr} message=${t.replyTo} />`}
      <p class="content">${t.content}</p>
      <p class="meta"><${Ur} kind=${t.error?`failed`:`pending`} /></p>
    </div>
    ${t.error&&Y`<p class="failure" role="alert">
      ${t.error}
      <button type="button" class="plain" onClick=${()=>e.sendAgain(t)}>Try again</button>
      <button type="button" class="plain" onClick=${()=>e.discard(t)}>Discard</button>
    </p>`}
  </li>`}function Gr({session:e,conversation:t,onClose:n}){let[r,i]=L(null);return R(()=>{let n=!1;return e.ask(`get_pinned_messages`,{conversationId:t.id}).then(e=>!n&&i(e?.messages??[])),()=>n=!0},[t.messages.filter(({isPinned:e})=>e).map(({id:e})=>e).join(` `)]),Y`<aside class="side" aria-label="Pinned messages">
    <header>
      <h3>Pinned</h3>
      <${$} icon="close" label="Close" onClick=${n} />
    </header>
    ${r?.length===0&&Y`<p class="hint">Nothing is pinned.</p>`}
    <ul class="pins">
      ${r?.map(({id:e,username:t,content:n,timestamp:r})=>Y`<li key=${e}>
          <p><b>${t}</b> <time>${tr(r)}</time></p>
          <p class="content">${n}</p>
        </li>`)}
    </ul>
  </aside>`}var Kr=80;function qr({session:e,isVisible:t}){let n=e.current.value,r=Te(()=>U(null),[]),[i,a]=L(null);if(ei(e,n,t),!n)return null;let o=e=>()=>a(i===e?null:e);return Y`<div class="thread">
    <${Jr} session=${e} conversation=${n} side=${i} toggle=${o} />
    ${i===`members`&&Y`<${Dr} session=${e} conversation=${n} onClose=${o(`members`)} />`}
    ${i===`pins`&&Y`<${Gr} session=${e} conversation=${n} onClose=${o(`pins`)} />`}
    <${Zr} session=${e} conversation=${n} draft=${r} />
    <${$r} conversation=${n} />
    <${Sr} session=${e} conversation=${n} draft=${r} />
  </div>`}function Jr({session:e,conversation:t,side:n,toggle:r}){let{person:i,group:a,members:o}=t,s=vt(t),c=i&&e.online.value.has(i.userId),l=a?Yr(a,o):c?`online`:`offline`;return Y`<header class="thread-head">
    <${$}
      icon="back"
      label="All conversations"
      class="icon-button only-narrow"
      onClick=${()=>e.selected.value=null}
    />
    <${Xn} id=${i?.userId??t.id} name=${s} isOnline=${c} isGroup=${a} />
    <div class="thread-title">
      <h2>${s}</h2>
      <p>${l}</p>
    </div>
    <${$}
      icon="pin"
      label="Pinned messages"
      aria-pressed=${n===`pins`}
      onClick=${r(`pins`)}
    />
    ${a?Y`<${$}
            icon="group"
            label="Members"
            aria-pressed=${n===`members`}
            onClick=${r(`members`)}
          />`:Y`<${$}
            icon="trash"
            label="Delete this conversation for me"
            onClick=${()=>Xr(e,t)}
          />`}
  </header>`}function Yr({memberCount:e,groupDescription:t},n){let r=`${n.length||e} members`;return t?`${r} · ${t}`:r}async function Xr(e,{id:t}){await e.ask(`delete_conversation`,{conversationId:t})&&e.drop(t)}function Zr({session:e,conversation:t,draft:n}){let r=z(),i=z({isAtEnd:!0,height:0,firstId:null,isReading:!1}),{messages:a,hasMore:o,readSeq:s,id:c}=t,l=e.outgoing.value.filter(e=>e.conversationId===c);we(()=>{let{current:e}=r,{isAtEnd:t,height:n,firstId:o}=i.current,s=o!==null&&a[0]?.id!==o;t?e.scrollTop=e.scrollHeight:s&&(e.scrollTop+=e.scrollHeight-n),Object.assign(i.current,{height:e.scrollHeight,firstId:a[0]?.id??null})},[a,l.length]);let u=async()=>{!i.current.isReading&&o&&e.state.value.name===`online`&&(i.current.isReading=!0,await Pt(e,t),i.current.isReading=!1)};return Y`<div class="messages" ref=${r} onScroll=${()=>{let{scrollTop:e,scrollHeight:t,clientHeight:n}=r.current;i.current.isAtEnd=t-e-n<Kr,e<Kr&&u()}} onKeyDown=${Qr}>
    ${o?Y`<button type="button" class="plain older" onClick=${u}>Older messages</button>`:Y`<p class="start">This is where it begins.</p>`}
    <ol>
      ${a.map((r,i)=>{let o=a[i-1],c=nr(r.timestamp)!==(o&&nr(o.timestamp));return Y`
          ${c&&Y`<li class="day" key=${`day ${r.id}`}>${nr(r.timestamp)}</li>`}
          <${Fr}
            key=${r.id}
            session=${e}
            conversation=${t}
            message=${r}
            isFirst=${c||o?.senderId!==r.senderId}
            isLast=${i===a.length-1}
            isRead=${r.isRead||r.seq<=s}
            draft=${n}
          />
        `})}
      ${l.map(t=>Y`<${Wr} key=${t.clientMessageId} session=${e} one=${t} />`)}
    </ol>
  </div>`}function Qr(e){let t=e.target.closest(`.message`);if(e.altKey||!t||e.key!==`ArrowUp`&&e.key!==`ArrowDown`)return;e.preventDefault();let n=[...e.currentTarget.querySelectorAll(`.message`)];n[n.indexOf(t)+(e.key===`ArrowUp`?-1:1)]?.focus()}function $r({conversation:e}){let t=Object.values(e.typing);return t.length?Y`<p class="typing"><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>${t.length===1?`${t[0]} is writing`:`${t.join(`, `)} are writing`}</p>`:Y`<p class="typing"></p>`}function ei(e,t,n){let r=t&&yt(t)?.id,i=t?.unread,a=e.state.value.name===`online`;R(()=>{let r=()=>{(n||matchMedia(`(min-width: 60rem)`).matches)&&a&&t&&i&&!document.hidden&&Ft(e,t)};return r(),document.addEventListener(`visibilitychange`,r),()=>document.removeEventListener(`visibilitychange`,r)},[r,i,n,a])}function ti({session:e,index:t,isFront:n,users:r,onSwitch:i,onLeave:a}){let o=e.me.value,s=o?.displayName??`Signing in`,c=e.wire.isCut.value,l=e.current.value!==null;return Y`<section
    class=${[`pane`,n&&`is-front`,l&&`has-thread`,c&&`is-cut`].filter(Boolean).join(` `)}
    aria-label=${s}
    data-user=${o?.username}
    onKeyDown=${t=>{t.altKey&&(t.key===`ArrowUp`||t.key===`ArrowDown`)&&(t.preventDefault(),ai(e,t.key===`ArrowUp`?-1:1))}}
  >
    <header class="pane-head">
      <${Xn} id=${o?.userId??t} name=${s} />
      ${r.length?Y`<${ni} me=${o} users=${r} onSwitch=${i} />`:Y`<h2>${s}</h2>`}
      <${vr} session=${e} />
      <button
        type="button"
        class=${c?`wire mend`:`wire cut`}
        aria-label=${c?`Mend the wire`:`Cut the wire`}
        onClick=${()=>c?e.mend():e.cut()}
      >
        <${Q} name=${c?`link`:`cut`} />
        <span>${c?`Mend the wire`:`Cut the wire`}</span>
      </button>
      ${a&&Y`<${$} icon="leave" label="Sign out" onClick=${a} />`}
    </header>
    <${ii} session=${e} />
    <div class="pane-body">
      <${fr} session=${e} />
      ${l?Y`<${qr} key=${e.selected.value} session=${e} isVisible=${n} />`:Y`<div class="thread nothing"><p>Choose a conversation, or begin a new one.</p></div>`}
    </div>
    <div class="unseen" aria-live="polite" aria-atomic="true">${e.announcement.value}</div>
  </section>`}function ni({me:e,users:t,onSwitch:n}){return Y`<label class="user-choice">
    <span class="unseen">User of this pane</span>
    <select value=${e?.userId} onChange=${e=>n(t.find(({userId:t})=>t===e.target.value))}>
      ${t.map(({userId:t,displayName:n})=>Y`<option key=${t} value=${t} selected=${t===e?.userId}>${n}</option>`)}
    </select>
  </label>`}var ri=9e3;function ii({session:e}){let t=e.notice.value,n=z(),r=()=>e.notice.value=null;return R(()=>{clearTimeout(n.current),t&&(n.current=setTimeout(r,ri))},[t]),t?Y`<p class=${t.isError?`notice is-error`:`notice`} role="status">
    <${Q} name=${t.isError?`warn`:`check`} /><span>${t.text}</span>
    <${$} icon="close" label="Close" onClick=${r} />
  </p>`:null}function ai(e,t){let n=e.list.value.map(({id:e})=>e);if(!n.length)return;let r=n.indexOf(e.selected.value);e.selected.value=n[Math.min(n.length-1,Math.max(0,r+t))]}function oi({directory:e,onEnter:t}){let[n,r]=L(``);return Y`<form class="sign-in" onSubmit=${i=>{i.preventDefault(),n.trim()&&t(e.signIn(n.trim())),r(``)}}>
    <h2>Sign in with a token</h2>
    ${e.problem&&Y`<p class="problem" role="alert">${e.problem}</p>`}
    <p>
      In development, open the link that the server printed at its start. Elsewhere a token is made
      by your backend, or by <code>fastchat gentoken --user ID</code>.
    </p>
    <label>
      Token
      <input
        type="password"
        autocomplete="off"
        spellcheck=${!1}
        value=${n}
        onInput=${e=>r(e.target.value)}
      />
    </label>
    <button class="primary" disabled=${!n.trim()}>Sign in</button>
    <p class="hint">It is kept in the memory of this page only.</p>
  </form>`}var si=[`auto`,`light`,`dark`],ci=`fastchat-theme`,li=U(si.includes(di())?di():`auto`);q(()=>{document.documentElement.dataset.theme=li.value});function ui(){li.value=si[(si.indexOf(li.value)+1)%si.length];try{localStorage.setItem(ci,li.value)}catch{}}function di(){try{return localStorage.getItem(ci)}catch{return null}}var fi=matchMedia(`(min-width: 60rem)`).matches,pi=U(fi?`charts`:null),mi=U(0),hi=2;function gi({panes:e,directory:t}){let n=z();R(zn,[]),R(()=>{let e=e=>bi(e,n.current);return addEventListener(`keydown`,e),()=>removeEventListener(`keydown`,e)},[]);let r=e.value,i=(t,n)=>{t.close(),e.value=e.value.map(e=>e===t?n:e)},a=t=>{t.close(),e.value=e.value.filter(e=>e!==t)},o=t=>e.value=[...e.value,t],s=!t.users.length&&r.length<hi;return Y`
    <header class="bar">
      <h1><img src="/demo/icon.svg" alt="" width="28" height="28" />fastchat</h1>
      <${vi} />
      <div class="bar-buttons">
        <${_i} name="charts" icon="chart" label="Charts" />
        <${_i} name="frames" icon="code" label="Inspector" />
        <${$}
          icon=${li.value===`dark`?`moon`:`sun`}
          label=${`Colours: ${li.value}. Change`}
          onClick=${ui}
        />
        <${$} icon="help" label="Help and keys" onClick=${()=>n.current.showModal()} />
      </div>
    </header>
    ${r.length>1&&Y`<${yi} sessions=${r} />`}
    <main class="panes">
      ${r.map((e,n)=>Y`<${ti}
          key=${e}
          session=${e}
          index=${n}
          isFront=${n===mi.value||r.length===1}
          users=${t.users}
          onSwitch=${n=>i(e,t.enter(n))}
          onLeave=${t.users.length?null:()=>a(e)}
        />`)}
      ${s&&Y`<${oi} directory=${t} onEnter=${o} />`}
    </main>
    ${pi.value===`charts`&&Y`<${Un} />`}
    ${pi.value===`frames`&&Y`<${or} sessions=${r} front=${mi.value} />`}
    <${Qn} dialog=${n} />
  `}function _i({name:e,icon:t,label:n}){let r=pi.value===e;return Y`<button
    type="button"
    class="toggle"
    aria-label=${n}
    aria-pressed=${r}
    onClick=${()=>pi.value=r?null:e}
  >
    <${Q} name=${t} /><span>${n}</span>
  </button>`}function vi(){let e=Fn.value.at(-1);if(!e)return Y`<p class="figures"></p>`;let t=e.workers.reduce((e,[,t])=>e+t,0),n=e.p50===null?`–`:`${e.p50.toFixed(1)} ms`;return Y`<p class="figures">
    <span><b>${t}</b> connections</span>
    <span><b>${Math.round(e.stored)}</b> messages/s</span>
    <span><b>${n}</b> to disk, median</span>
  </p>`}function yi({sessions:e}){return Y`<nav class="pane-tabs" aria-label="Users">
    ${e.map((e,t)=>Y`<button
        type="button"
        key=${t}
        aria-pressed=${t===mi.value}
        onClick=${()=>mi.value=t}
      >
        ${e.me.value?.displayName??`…`}
        ${e.unread.value>0&&Y`<span class="badge">${e.unread.value}</span>`}
      </button>`)}
  </nav>`}function bi(e,t){let n=/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);if(e.key===`?`&&!n&&t.showModal(),e.altKey&&/^[1-9]$/.test(e.key)){let t=Number(e.key)-1,n=document.querySelectorAll(`.pane`)[t];if(!n)return;e.preventDefault(),mi.value=t;let r=e=>n.querySelector(e)?.focus();requestAnimationFrame(()=>r(n.matches(`.has-thread`)?`.composer textarea`:`.new button`))}}var xi=await kn(),Si=new URLSearchParams(location.search).get(`users`)?.split(`,`);P(Y`<${gi} panes=${U(xi.open(Si??[`alice`,`bob`]))} directory=${xi} />`,document.getElementById(`app`));