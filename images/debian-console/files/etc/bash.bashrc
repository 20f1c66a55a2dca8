# For commands over SSH, too, which no profile is read for.
case :$PATH: in
    *:/opt/bin:*) ;;
    *) PATH=/opt/bin:$PATH ;;
esac
[ -z "$PS1" ] || PS1='\u@\h:\w\$ '
